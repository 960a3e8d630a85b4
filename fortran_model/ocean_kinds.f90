! SPDX-License-Identifier: MIT
!> Kinds shared by all modules of the model.
module ocean_kinds
  use, intrinsic :: iso_fortran_env, only: int64, real64
  implicit none (type, external)
  private

  integer, parameter, public :: wp = real64      !< working precision
  integer, parameter, public :: dates = int64    !< dates [s since the origin]

end module ocean_kinds
