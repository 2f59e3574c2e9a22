"""The type of the arrays in records."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
