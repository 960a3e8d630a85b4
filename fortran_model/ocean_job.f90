! SPDX-License-Identifier: MIT
!> The job the model runs in: its start, its end, and the end of all ranks on an error.
module ocean_job
  use, intrinsic :: iso_fortran_env, only: error_unit
  use mpi_f08, only: MPI_Abort, MPI_Barrier, MPI_Bcast, MPI_CHARACTER, MPI_Comm, MPI_Comm_rank, &
    MPI_COMM_WORLD, MPI_DOUBLE_PRECISION, MPI_Finalize, MPI_Finalized, MPI_Init, MPI_INTEGER, MPI_INTEGER8
  use ocean_kinds, only: dates, wp
  implicit none (type, external)
  private

  public :: start_mpi, stop_mpi, abort_run, abort_together, is_root, broadcast, broadcast_text

  integer, parameter :: root = 0

  !> Rank 0's numbers on every rank.
  interface broadcast
    module procedure broadcast_dates, broadcast_reals
  end interface broadcast

contains

  subroutine start_mpi(world)
    type(MPI_Comm), intent(out) :: world
    call MPI_Init()
    world = MPI_COMM_WORLD
  end subroutine start_mpi

  subroutine stop_mpi()
    logical :: finalized
    call MPI_Finalized(finalized)   ! a coupler may have done it
    if (.not. finalized) call MPI_Finalize()
  end subroutine stop_mpi

  !> Print a message and end every rank of the job, the coupled components' too.
  subroutine abort_run(message)
    character(*), intent(in) :: message
    write (error_unit, '(2a)') 'ocean_model: error: ', message
    flush (error_unit)
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine abort_run

  !> For an error all ranks know of: it is printed once.
  subroutine abort_together(comm, message)
    type(MPI_Comm), intent(in) :: comm
    character(*), intent(in) :: message
    if (is_root(comm)) call abort_run(message)
    call MPI_Barrier(comm)   ! never passed: root ends the job
  end subroutine abort_together

  logical function is_root(comm)
    type(MPI_Comm), intent(in) :: comm
    integer :: rank
    call MPI_Comm_rank(comm, rank)
    is_root = rank == root
  end function is_root

  !> Rank 0's text on every rank.
  subroutine broadcast_text(comm, text)
    type(MPI_Comm), intent(in) :: comm
    character(:), allocatable, intent(inout) :: text   !< not allocated on other ranks
    integer :: length
    if (is_root(comm)) length = len(text)
    call MPI_Bcast(length, 1, MPI_INTEGER, root, comm)
    if (.not. is_root(comm)) allocate (character(length) :: text)
    call MPI_Bcast(text, length, MPI_CHARACTER, root, comm)
  end subroutine broadcast_text

  subroutine broadcast_dates(comm, values)
    type(MPI_Comm), intent(in) :: comm
    integer(dates), intent(inout), contiguous :: values(:)
    call MPI_Bcast(values, size(values), MPI_INTEGER8, root, comm)
  end subroutine broadcast_dates

  subroutine broadcast_reals(comm, values)
    type(MPI_Comm), intent(in) :: comm
    real(wp), intent(inout), contiguous :: values(:)
    call MPI_Bcast(values, size(values), MPI_DOUBLE_PRECISION, root, comm)
  end subroutine broadcast_reals

end module ocean_job
