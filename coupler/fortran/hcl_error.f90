! SPDX-License-Identifier: MIT
!> One way to fail: hand the error to a caller that asks for it, else print and end every rank.
module hcl_error
  use, intrinsic :: iso_fortran_env, only: error_unit
  use mpi_f08, only: MPI_Abort, MPI_COMM_WORLD, MPI_Comm_size
  implicit none (type, external)
  private
  public :: hcl_error_type, raise, hcl_abort, text, launched_ranks, sees_itself_alone

  integer, parameter :: last_words = 500000   !< for the launcher to read what was printed [microseconds]

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
    use, intrinsic :: iso_c_binding, only: c_int
    character(*), intent(in) :: message
    interface
      integer(c_int) function posix_usleep(microseconds) bind(c, name='usleep')
        import :: c_int
        implicit none (type, external)
        integer(c_int), value :: microseconds
      end function posix_usleep
    end interface
    integer :: ignored

    write (error_unit, '(2a)') 'halocline: ', message
    flush (error_unit)
    ! MPICH's launcher drops what ranks printed and it has not yet passed on
    ignored = posix_usleep(last_words)
    if (sees_itself_alone()) call tell_launcher()
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine hcl_abort

  !> How many ranks the launcher started, by its own word; 1 without one.
  integer function launched_ranks()
    character(24), parameter :: names(3) = [character(24) :: &
      'OMPI_COMM_WORLD_SIZE', 'PMI_SIZE', 'SLURM_STEP_NUM_TASKS']
    character(16) :: value
    integer :: name, status, number

    launched_ranks = 1
    do name = 1, size(names)
      call get_environment_variable(names(name), value, status=status)
      if (status /= 0) cycle
      read (value, *, iostat=status) number
      if (status == 0) launched_ranks = max(launched_ranks, number)
    end do
  end function launched_ranks

  !> A program linked with another MPI than the launcher's is alone in its MPI_COMM_WORLD.
  logical function sees_itself_alone()
    integer :: ranks

    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    sees_itself_alone = ranks < 2
    if (sees_itself_alone) sees_itself_alone = launched_ranks() > 1
  end function sees_itself_alone

  !> The launcher of MPICH does not end the others for a rank that has not joined it, unless the
  !> rank says so, in a line of PMI-1 on the descriptor that it inherited.
  subroutine tell_launcher()
    use, intrinsic :: iso_c_binding, only: c_char, c_int, c_loc, c_ptr, c_size_t
    interface
      integer(c_size_t) function posix_write(descriptor, bytes, length) bind(c, name='write')
        import :: c_int, c_ptr, c_size_t
        implicit none (type, external)
        integer(c_int), value :: descriptor
        type(c_ptr), value :: bytes
        integer(c_size_t), value :: length
      end function posix_write
    end interface
    character(21, c_char), target :: line
    character(16) :: value
    integer(c_int) :: descriptor
    integer :: status

    call get_environment_variable('PMI_FD', value, status=status)
    if (status /= 0) return
    read (value, *, iostat=status) descriptor
    ! what the line did is seen by everyone: the job ends
    line = 'cmd=abort exitcode=1'//achar(10)
    if (status == 0) status = int(posix_write(descriptor, c_loc(line), len(line, c_size_t)))
  end subroutine tell_launcher

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
