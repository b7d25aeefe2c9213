"""funcgrad: composable transformations of NumPy-style programs on CPUs."""

from funcgrad import debug as debug
from funcgrad import errors as errors
from funcgrad import flatten_util as flatten_util
from funcgrad import lax as lax
from funcgrad import nn as nn
from funcgrad import numpy as numpy
from funcgrad import random as random
from funcgrad import scipy as scipy
from funcgrad import testing as testing
from funcgrad import tree as tree
from funcgrad import tree_util as tree_util
from funcgrad.api import checkpoint_policies as checkpoint_policies
from funcgrad.api.batching import vmap as vmap
from funcgrad.api.callback import effects_barrier as effects_barrier
from funcgrad.api.callback import named_scope as named_scope
from funcgrad.api.callback import pure_callback as pure_callback
from funcgrad.api.custom import checkpoint as checkpoint
from funcgrad.api.custom import custom_jvp as custom_jvp
from funcgrad.api.custom import custom_vjp as custom_vjp
from funcgrad.api.custom import remat as remat
from funcgrad.api.custom import stop_gradient as stop_gradient
from funcgrad.api.derivatives import grad as grad
from funcgrad.api.derivatives import jvp as jvp
from funcgrad.api.derivatives import linear_transpose as linear_transpose
from funcgrad.api.derivatives import linearize as linearize
from funcgrad.api.derivatives import value_and_grad as value_and_grad
from funcgrad.api.derivatives import vjp as vjp
from funcgrad.api.expressions import eval_shape as eval_shape
from funcgrad.api.expressions import make_expr as make_expr
from funcgrad.api.inspection import debug_nans as debug_nans
from funcgrad.api.inspection import profile as profile
from funcgrad.api.inspection import stages as stages
from funcgrad.api.jacobians import hessian as hessian
from funcgrad.api.jacobians import jacfwd as jacfwd
from funcgrad.api.jacobians import jacrev as jacrev
from funcgrad.api.jit import clear_caches as clear_caches
from funcgrad.api.jit import disable_jit as disable_jit
from funcgrad.api.jit import jit as jit
from funcgrad.api.memory import MemoryPlan as MemoryPlan
from funcgrad.api.memory import memory_plan as memory_plan
from funcgrad.api.numba_call import numba_call as numba_call
from funcgrad.api.numba_call import numba_elementwise as numba_elementwise
from funcgrad.api.progress import progress as progress
from funcgrad.api.settings import compile_log as compile_log
from funcgrad.api.settings import set_allow_winograd as set_allow_winograd
from funcgrad.api.settings import set_num_threads as set_num_threads
from funcgrad.api.settings import set_tiered as set_tiered
from funcgrad.api.shape_dtype import ShapeDtypeStruct as ShapeDtypeStruct
from funcgrad.api.source import source as source
from funcgrad.core.array import Array as Array
from funcgrad.core.program import Program as Program
from funcgrad.numpy import linalg as linalg

jacobian = jacrev
make_jaxpr = make_expr
