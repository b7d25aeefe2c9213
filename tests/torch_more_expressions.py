"""More expressions for test_torch_expressions.py: functions of networks, linear algebra, spectra, scatters.

More names: img (2, 4, 6, 6), seq (2, 4, 8), vol (1, 2, 4, 4, 4), w1 (6, 4, 3), w2 (6, 4, 3, 3), w3 (3, 2, 2, 2, 2), t labels (3),
pd (3, 3) positive definite, hann a window (4), F torch.nn.functional.
"""

NETWORKS = """
F.relu(x) | F.relu6(x * 4) | F.elu(x, 0.7) | F.selu(x) | F.celu(x, 0.8) | F.gelu(x) | F.gelu(x, approximate='tanh')
F.silu(x) | F.mish(x) | F.softplus(x, 2.0) | F.softsign(x) | F.tanhshrink(x) | F.hardshrink(x, 0.3)
F.softshrink(x, 0.3) | F.hardtanh(x) | F.hardsigmoid(x.float() * 3) | F.hardswish(x * 3) | F.leaky_relu(x, 0.2)
F.logsigmoid(x) | F.threshold(x, 0.1, 2.0) | F.glu(x, 1) | F.prelu(x, v) | F.rrelu(x) | F.softmin(x, 0)
F.normalize(x, dim=0) | F.normalize(b, p=1.5, dim=-1) | F.layer_norm(x, (4,), v, v * 2) | F.rms_norm(x, (4,), v)
F.group_norm(img, 2) | F.local_response_norm(img, 2) | F.batch_norm(img, None, None, training=True)
F.batch_norm(x, v.detach(), v.detach() ** 2 + 1, v, v) | F.instance_norm(img) | F.linear(x, m.t(), None)
F.bilinear(x, y, torch.ones(2, 4, 4, dtype=x.dtype) * 0.3) | F.embedding(k, x) | F.embedding_bag(k, x, mode='mean')
F.pad(x, (1, 2)) | F.pad(img, (1, 1, 2, 0), mode='reflect') | F.pad(seq, (2, 1), mode='circular')
F.pad(img, (1, 0, 0, 1), mode='replicate') | F.one_hot(k, 3) | F.conv1d(seq, w1, padding=1)
F.conv1d(seq, w1, stride=2, dilation=2) | F.conv2d(img, w2, stride=2) | F.conv2d(img, w2, padding='same')
F.conv2d(img, w2[:, :2], groups=2, padding=1) | F.conv3d(vol, w3)
F.conv_transpose1d(seq, w1.transpose(0, 1), stride=2)
F.conv_transpose2d(img, w2.transpose(0, 1), padding=1, output_padding=1, stride=2)
F.conv_transpose3d(vol, w3.transpose(0, 1)) | F.max_pool1d(seq, 2) | F.max_pool2d(img, 3, 2, 1) | F.max_pool3d(vol, 2)
F.max_pool2d(img, 2, return_indices=True)[0] | F.avg_pool1d(seq, 3, 2) | F.avg_pool2d(img, 2, ceil_mode=True)
F.avg_pool2d(img, 3, 1, 1, count_include_pad=False) | F.avg_pool3d(vol, 2) | F.adaptive_avg_pool1d(seq, 3)
F.adaptive_avg_pool2d(img, (2, 3)) | F.adaptive_max_pool2d(img, 2) | F.adaptive_avg_pool3d(vol, 2)
F.adaptive_max_pool1d(seq, 3) | F.lp_pool2d(img.abs() + 1, 2, 2) | F.lp_pool1d(seq.abs() + 1, 2, 3)
F.max_unpool2d(*F.max_pool2d(img, 2, return_indices=True), 2) | F.unfold(img, 2, stride=2)
F.fold(seq.reshape(2, 8, 4), (3, 3), 2) | F.interpolate(img, scale_factor=2)
F.interpolate(img, size=(4, 9), mode='bilinear') | F.interpolate(seq, size=5, mode='linear')
F.interpolate(img, scale_factor=1.5, mode='bicubic', align_corners=True)
F.interpolate(vol, scale_factor=2, mode='trilinear') | F.interpolate(img, size=3, mode='area')
F.pixel_shuffle(img, 2) | F.pixel_unshuffle(img, 2) | F.channel_shuffle(img, 2)
F.grid_sample(img, F.affine_grid(x[:2, :3].expand(2, 2, 3), (2, 4, 3, 3), align_corners=False), align_corners=False)
F.grid_sample(img, torch.tanh(img.mean(1)[..., None] + torch.zeros(2, dtype=x.dtype)), padding_mode='border', align_corners=True)
F.affine_grid(x[:2, :3].reshape(1, 2, 3), (1, 1, 2, 3), align_corners=True) | F.cosine_similarity(x, y, dim=1)
F.pairwise_distance(x, y) | F.scaled_dot_product_attention(b, b * 2, b + 1)
F.scaled_dot_product_attention(b, b, b, is_causal=True) | F.dropout(x, 0.5, training=False)
F.alpha_dropout(x, 0.5, False) | F.feature_alpha_dropout(img, 0.5, False) | F.dropout2d(img, 0.5, False)
F.mse_loss(x, y) | F.l1_loss(x, y, reduction='sum') | F.smooth_l1_loss(x, y, beta=0.5) | F.huber_loss(x, y, delta=0.7)
F.binary_cross_entropy(u, u.detach()) | F.binary_cross_entropy_with_logits(x, u.detach(), pos_weight=v.detach().abs())
F.nll_loss(F.log_softmax(x, 1), t) | F.nll_loss(x, t, weight=v.detach().abs(), ignore_index=2) | F.cross_entropy(x, t)
F.cross_entropy(x, t, label_smoothing=0.1, weight=v.detach().abs()) | F.cross_entropy(x, u.detach())
F.cross_entropy(x, t, reduction='none') | F.kl_div(x, u.detach(), reduction='batchmean')
F.kl_div(x, y, log_target=True, reduction='sum') | F.poisson_nll_loss(x, p.detach())
F.poisson_nll_loss(p, p.detach() * 2, log_input=False, full=True) | F.gaussian_nll_loss(x, y, p)
F.gaussian_nll_loss(x, y, p, full=True) | F.hinge_embedding_loss(x, mask * 2.0 - 1)
F.margin_ranking_loss(x, y, mask * 2.0 - 1, 0.3) | F.soft_margin_loss(x, mask * 2.0 - 1) | F.multi_margin_loss(x, t)
F.multi_margin_loss(x, t, p=2, margin=0.5) | F.multilabel_margin_loss(x, i % 4)
F.multilabel_soft_margin_loss(x, mask.double()) | F.cosine_embedding_loss(x, y, (t > 0) * 2 - 1)
F.triplet_margin_loss(x, y, x * y) | F.triplet_margin_loss(x, y, x * y, swap=True, p=1.5) | F.pdist(x) | F.pdist(x, 1.0)
F.ctc_loss(F.log_softmax(b.transpose(0, 1), 2), k[:2], [3, 2], [2, 1], reduction='sum')
"""

LINEAR_ALGEBRA = """
torch.linalg.det(sq) | torch.linalg.slogdet(pd)[1] | torch.logdet(pd) | torch.linalg.inv(pd) | torch.inverse(pd)
torch.linalg.pinv(x) | torch.linalg.cholesky(pd) | torch.cholesky(pd)
torch.cholesky_solve(m[:3], torch.linalg.cholesky(pd)) | torch.cholesky_inverse(torch.linalg.cholesky(pd))
torch.linalg.solve(pd, m[:3]) | torch.linalg.solve_triangular(pd.tril(), m[:3], upper=False)
torch.triangular_solve(m[:3], pd.triu())[0] | torch.linalg.eigvalsh(pd) | torch.linalg.eigh(pd)[0]
torch.linalg.eigh(pd)[1].abs() | torch.linalg.svdvals(x) | torch.linalg.svd(x, full_matrices=False)[1]
torch.linalg.qr(m)[1].abs() | torch.linalg.qr(m)[0].abs() | torch.linalg.lu(pd)[2] | torch.linalg.lu_factor(pd)[0]
torch.lu_solve(m[:3], *torch.linalg.lu_factor(pd)) | torch.linalg.matrix_exp(sq) | torch.matrix_exp(sq)
torch.linalg.matrix_power(sq, 3) | torch.linalg.matrix_power(pd, -2) | torch.linalg.norm(x)
torch.linalg.norm(x, 'nuc') | torch.linalg.norm(x, 2) | torch.linalg.norm(x, float('inf'))
torch.linalg.vector_norm(x, 3) | torch.linalg.vector_norm(x, 1, dim=1) | torch.linalg.matrix_norm(x)
torch.linalg.matrix_norm(b, ord=1) | torch.linalg.multi_dot([x, m, x]) | torch.linalg.cross(sq, sq * 2 + 1)
torch.linalg.vander(v) | torch.linalg.vecdot(x, y) | torch.vdot(v, v * 2)
torch.linalg.lstsq(m, m[:, :2] * 2 + 1).solution | torch.linalg.tensorsolve(pd, v[:3])
torch.linalg.tensorinv(pd.reshape(3, 3), ind=1) | torch.linalg.householder_product(m * 0.1, v[:3] * 0.1)
torch.linalg.cond(pd) | torch.addbmm(sq, b, b.transpose(1, 2)) | torch.cov(x) | torch.corrcoef(x)
torch.linalg.eigvals(pd).abs().sort()[0] | torch.linalg.eig(pd)[0].real.sort()[0] | torch.linalg.matrix_rank(x)
torch.linalg.diagonal(sq)
"""

OTHERS = """
torch.fft.fft(x).abs() | torch.fft.ifft(z) | torch.fft.rfft(x, dim=0) | torch.fft.irfft(z, n=4)
torch.fft.fft2(x).real | torch.fft.ifftn(x) | torch.fft.rfftn(b) | torch.fft.irfftn(torch.fft.rfftn(x))
torch.fft.hfft(z) | torch.fft.ihfft(v) | torch.fft.fftshift(x) | torch.fft.ifftshift(x, 1)
torch.fft.fft(x, n=6, norm='ortho') | torch.fft.fftfreq(5, 0.2) | torch.fft.rfftfreq(6)
torch.fft.rfft2(x, norm='forward') | torch.fft.fftn(z) | torch.fft.irfft2(torch.fft.rfft2(x)) | torch.fft.ifft2(x)
torch.stft(seq[0], 4, window=hann, return_complex=True).abs()
torch.stft(seq[0], 4, 2, center=False, return_complex=True).real
torch.stft(seq[0], 4, 1, pad_mode='constant', normalized=True, onesided=False, return_complex=True).real
torch.istft(torch.stft(seq[0], 4, 1, window=hann, return_complex=True), 4, 1, window=hann)
torch.hann_window(5, dtype=x.dtype) | torch.hamming_window(6, periodic=False) | torch.blackman_window(7)
torch.bartlett_window(4) | torch.kaiser_window(5, True, 6.0) | torch.hamming_window(1) | torch.hann_window(0)
torch.select_scatter(x, v, 0, 1) | x.select_scatter(y[:, 0], 1, -1) | torch.slice_scatter(x, y[:2], 0, 1)
x.slice_scatter(y[:, ::2], 1, 0, 4, 2) | torch.diagonal_scatter(x, v[:3]) | x.diagonal_scatter(v[:2], -1)
b.diagonal_scatter(x[:2, :3], 1, 1, 2) | torch.as_strided_scatter(x.detach().contiguous(), y[:2, :2], (2, 2), (1, 2))
torch.index_reduce(x, 0, t, y, 'amax') | torch.index_reduce(p, 1, t, p[:, :3] * 2, 'mean', include_self=False)
p.index_reduce(0, t, p + 1, 'prod') | torch.narrow_copy(x, 1, 1, 2) | torch.view_copy(x.contiguous(), (4, 3))
torch.permute_copy(b, (2, 0, 1)) | torch.expand_copy(v, (3, 4)) | torch.t_copy(x) | torch.transpose_copy(b, 0, 2)
torch.unsqueeze_copy(x, 1) | torch.squeeze_copy(x[:1]) | torch.diagonal_copy(x) | torch.select_copy(x, 1, 2)
torch.unbind_copy(x)[1] | torch.unfold_copy(v, 0, 2, 1) | torch.split_copy(x, 2, 1)[1]
torch.slice_copy(x, 1, 1, 4, 2) | torch.unsafe_chunk(x, 2, 1)[0] | torch.special.entr(p) | torch.special.erfcx(x)
torch.special.i0e(x) | torch.special.i1(x) | torch.special.i1e(x) | torch.special.log_ndtr(x) | torch.special.ndtr(x)
torch.special.ndtri(u) | torch.special.xlog1py(x, p) | torch.special.zeta(p.detach() + 1, p.detach())
torch.special.gammainc(p.detach(), p) | torch.special.gammaincc(p.detach(), p) | torch.clamp_max(x, 0.3)
torch.logical_and(mask, x > 0) | torch.logical_or(mask, x > 0) | torch.logical_not(mask) | torch.isfinite(x)
torch.isinf(x) | torch.isposinf(x) | torch.isneginf(x) | torch.isreal(z) | x.ne(y) | x.le(y) | torch.nanmedian(x)
torch.nanmedian(x, 1)[0] | torch.nanquantile(x, 0.3) | torch.nanquantile(x, 0.3, dim=1) | torch.frexp(x)[0]
torch.diagflat(v) | torch.conj_physical(z) | torch.view_as_complex(x.reshape(6, 2)).abs() | torch.block_diag(x, v)
torch.cdist(x, y) | torch.combinations(v) | torch.cartesian_prod(v, v) | torch.renorm(x, 2, 0, 1.0)
torch.trapezoid(x) | torch.cumulative_trapezoid(x) | torch.gradient(x)[0] | torch.diff(x, n=2)
torch.heaviside(x.detach(), y.detach()) | torch.dropout(x, 0.5, False)
torch.batch_norm(x, v, v, None, None, True, 0.1, 1e-5, False) | torch.embedding(x, k)
torch.constant_pad_nd(x, (1, 1), 2.0) | torch.rrelu(x)
torch.convolution(img, w2, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1) | torch.kl_div(x, u.detach(), 2)
torch.binary_cross_entropy_with_logits(x, u.detach())
torch.grid_sampler(img, torch.tanh(img[:, :2].permute(0, 2, 3, 1)), 0, 0, False)
torch.instance_norm(img, None, None, None, None, True, 0.1, 1e-5, False)
"""


def listed(text: str) -> list[str]:
    """The expressions of a block, which stand between bars."""
    return [e.strip() for line in text.strip().splitlines() for e in line.split(" | ")]


MORE = listed(NETWORKS) + listed(LINEAR_ALGEBRA) + listed(OTHERS)
