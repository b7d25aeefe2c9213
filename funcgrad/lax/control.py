"""Control flow under JAX's names."""

from funcgrad.api.associative import associative_scan as associative_scan
from funcgrad.api.control import cond as cond
from funcgrad.api.control import fori_loop as fori_loop
from funcgrad.api.control import map as map
from funcgrad.api.control import scan as scan
from funcgrad.api.control import switch as switch
from funcgrad.api.control import while_loop as while_loop
from funcgrad.api.implicit import custom_linear_solve as custom_linear_solve
from funcgrad.api.implicit import custom_root as custom_root
