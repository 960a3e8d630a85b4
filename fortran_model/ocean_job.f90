! SPDX-License-Identifier: MIT
!> The job the model runs in: its start, its end, and the end of all ranks on an error.
module ocean_job
  use, intrinsic :: iso_fortran_env, only: error_unit
  use mpi_f08, only: MPI_Abort, MPI_Barrier, MPI_Bcast, MPI_CHARACTER, MPI_Comm, MPI_Comm_rank, &
    MPI_COMM_WORLD, MPI_Finalize, MPI_Finalized, MPI_Init, MPI_INTEGER
  implicit none (type, external)
  private

  public :: start_mpi, stop_mpi, abort_run, abort_together, broadcast_text

  integer, parameter :: root = 0

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
    integer :: rank
    call MPI_Comm_rank(comm, rank)
    if (rank == root) call abort_run(message)
    call MPI_Barrier(comm)   ! never passed: root ends the job
  end subroutine abort_together

  !> Rank 0's text on every rank.
  subroutine broadcast_text(comm, text)
    type(MPI_Comm), intent(in) :: comm
    character(:), allocatable, intent(inout) :: text
    integer :: length, rank
    call MPI_Comm_rank(comm, rank)
    if (rank == root) length = len(text)
    call MPI_Bcast(length, 1, MPI_INTEGER, root, comm)
    if (rank /= root) allocate (character(length) :: text)
    call MPI_Bcast(text, length, MPI_CHARACTER, root, comm)
  end subroutine broadcast_text

end module ocean_job
