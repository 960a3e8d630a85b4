! SPDX-License-Identifier: MIT
!> One way to fail: hand the error to a caller that asks for it, else print and end every rank.
module hcl_error
  use, intrinsic :: iso_fortran_env, only: error_unit
  use mpi_f08, only: MPI_Abort, MPI_COMM_WORLD
  implicit none (type, external)
  private
  public :: hcl_error_type, raise, hcl_abort, text

  !> Allocated where a call failed; `message` says who, what, got, expected.
  type :: hcl_error_type
    character(:), allocatable :: message
  end type hcl_error_type

  !> A number as text without blanks
  interface text
    procedure text_int32, text_int64
  end interface text

contains

  !> Returns `message` in `error`; without `error`, prints it and ends the job.
  subroutine raise(message, error)
    character(*), intent(in) :: message
    type(hcl_error_type), allocatable, intent(out), optional :: error

    if (present(error)) then
      allocate (error)
      error%message = message
    else
      call hcl_abort(message)
    end if
  end subroutine raise

  !> Prints `message` and ends every rank of the job with a non-zero exit code.
  subroutine hcl_abort(message)
    character(*), intent(in) :: message

    write (error_unit, '(2a)') 'halocline: ', message
    flush (error_unit)
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine hcl_abort

  pure function text_int64(number) result(string)
    use, intrinsic :: iso_fortran_env, only: int64
    integer(int64), intent(in) :: number
    character(:), allocatable :: string
    character(24) :: buffer

    write (buffer, '(i0)') number
    string = trim(buffer)
  end function text_int64

  pure function text_int32(number) result(string)
    use, intrinsic :: iso_fortran_env, only: int64
    integer, intent(in) :: number
    character(:), allocatable :: string

    string = text_int64(int(number, int64))
  end function text_int32
end module hcl_error
