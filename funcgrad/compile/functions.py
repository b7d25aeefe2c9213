"""Functions of two arguments in the language of kernels, written out where they are called; K stands for the dtype.

They need only arithmetic, the functions of the vecmath folder and fmod; NumPy's own definitions say what they give.
"""

REMAINDER = """
def remainder(x, y):
    r = fmod(x, y)
    turned = where((r < K(0)) ^ (y < K(0)), r + y, r)
    return where(r == K(0), copysign(K(0), y), turned)
"""

FLOOR_DIVIDE = """
def floor_divide(x, y):
    r = fmod(x, y)
    whole = (x - r) / y
    turned = where((r != K(0)) & ((r < K(0)) ^ (y < K(0))), whole - K(1), whole)
    low = floor(turned)
    near = where(turned - low > K(0.5), low + K(1), low)
    return where(y == K(0), x / y, where(turned == K(0), copysign(K(0), x / y), near))
"""

HYPOT = """
def hypot(x, y):
    a = absolute(x)
    b = absolute(y)
    m = maximum(a, b)
    r = minimum(a, b) / m
    flat = (m == K(0)) | (m == K(inf))
    endless = (a == K(inf)) | (b == K(inf))
    return where(endless, K(inf), where(flat, m, m * sqrt(K(1) + r * r)))
"""

LOGADDEXP = """
def logaddexp(x, y):
    return where(x == y, x + K(0.6931471805599453), maximum(x, y) + log1p(exp(-absolute(x - y))))
"""

SOURCES = {"remainder": REMAINDER, "floor_divide": FLOOR_DIVIDE, "hypot": HYPOT, "logaddexp": LOGADDEXP}
