"""`torch.linalg`: linear algebra under the names of NumPy and the array API."""

from funcgrad.torch.ops.decompositions import LinAlgError as LinAlgError
from funcgrad.torch.ops.decompositions import cholesky_ex as cholesky_ex
from funcgrad.torch.ops.decompositions import eigvals as eigvals
from funcgrad.torch.ops.decompositions import eigvalsh as eigvalsh
from funcgrad.torch.ops.decompositions import householder_product as householder_product
from funcgrad.torch.ops.decompositions import linalg_cholesky as cholesky  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_eig as eig  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_eigh as eigh  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_lu as lu  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_lu_factor as lu_factor  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_qr as qr  # noqa: F401
from funcgrad.torch.ops.decompositions import linalg_svd as svd  # noqa: F401
from funcgrad.torch.ops.decompositions import svdvals as svdvals
from funcgrad.torch.ops.linalg import linalg_cross as cross  # noqa: F401
from funcgrad.torch.ops.linalg import linalg_diagonal as diagonal  # noqa: F401
from funcgrad.torch.ops.linalg import matmul as matmul
from funcgrad.torch.ops.linalg import multi_dot as multi_dot
from funcgrad.torch.ops.norms import cond as cond
from funcgrad.torch.ops.norms import linalg_norm as norm  # noqa: F401
from funcgrad.torch.ops.norms import matrix_norm as matrix_norm
from funcgrad.torch.ops.norms import matrix_rank as matrix_rank
from funcgrad.torch.ops.norms import vector_norm as vector_norm
from funcgrad.torch.ops.solvers import det as det
from funcgrad.torch.ops.solvers import inv as inv
from funcgrad.torch.ops.solvers import inv_ex as inv_ex
from funcgrad.torch.ops.solvers import linalg_lu_solve as lu_solve  # noqa: F401
from funcgrad.torch.ops.solvers import linalg_slogdet as slogdet  # noqa: F401
from funcgrad.torch.ops.solvers import linalg_vander as vander  # noqa: F401
from funcgrad.torch.ops.solvers import lstsq as lstsq
from funcgrad.torch.ops.solvers import matrix_exp as matrix_exp
from funcgrad.torch.ops.solvers import matrix_power as matrix_power
from funcgrad.torch.ops.solvers import pinv as pinv
from funcgrad.torch.ops.solvers import solve as solve
from funcgrad.torch.ops.solvers import solve_ex as solve_ex
from funcgrad.torch.ops.solvers import solve_triangular as solve_triangular
from funcgrad.torch.ops.solvers import tensorinv as tensorinv
from funcgrad.torch.ops.solvers import tensorsolve as tensorsolve
from funcgrad.torch.ops.solvers import vecdot as vecdot
