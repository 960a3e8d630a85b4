! SPDX-License-Identifier: MIT
!> The memory that workers on this node share: opened once, never copied through.
module hcl_window
  use, intrinsic :: iso_c_binding, only: c_f_pointer, c_ptr
  use, intrinsic :: iso_fortran_env, only: int64
  use mpi_f08, only: MPI_ADDRESS_KIND, MPI_COMM_TYPE_SHARED, MPI_INFO_NULL, MPI_MODE_NOCHECK, &
    MPI_Barrier, MPI_Comm, MPI_Comm_rank, MPI_Comm_split, MPI_Comm_split_type, &
    MPI_Win_allocate_shared, MPI_Win_free, MPI_Win_lock_all, MPI_Win_shared_query, MPI_Win_sync, &
    MPI_Win_unlock_all
  use hcl_state, only: coupler, peer_type
  implicit none (type, external)
  private
  public :: split_nodes, open_window, close_window, sync_window, read_counter, write_counter

contains

  !> The ranks that share memory. HALOCLINE_RANKS_PER_NODE pretends that nodes are smaller.
  subroutine split_nodes()
    type(MPI_Comm) :: whole_node
    character(16) :: value
    integer :: rank, ranks, length, status

    call MPI_Comm_split_type(coupler%world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, coupler%node)
    call get_environment_variable('HALOCLINE_RANKS_PER_NODE', value, length, status)
    if (status /= 0 .or. length == 0) return
    read (value, *, iostat=status) ranks
    if (status /= 0 .or. ranks < 1) return
    call MPI_Comm_rank(coupler%world, rank)
    whole_node = coupler%node
    call MPI_Comm_split(whole_node, rank/ranks, 0, coupler%node)
  end subroutine split_nodes

  !> Collective over the node; this rank adds no memory of its own.
  subroutine open_window()
    type(c_ptr) :: base
    integer(MPI_ADDRESS_KIND) :: bytes
    integer :: unit, e, p

    bytes = 0
    call MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, coupler%node, base, coupler%window)
    call MPI_Win_lock_all(MPI_MODE_NOCHECK, coupler%window)
    call MPI_Barrier(coupler%node)   ! workers have set their memory to zero
    do e = 1, size(coupler%exchanges)
      do p = 1, size(coupler%exchanges(e)%peers)
        associate (peer => coupler%exchanges(e)%peers(p))
          if (.not. peer%windowed) cycle
          call MPI_Win_shared_query(coupler%window, peer%node_rank, bytes, unit, base)
          call c_f_pointer(base, peer%memory, [bytes/8])
        end associate
      end do
    end do
  end subroutine open_window

  subroutine close_window()
    if (.not. coupler%has_window) return
    call MPI_Win_unlock_all(coupler%window)
    call MPI_Win_free(coupler%window)
  end subroutine close_window

  !> What was written before is seen by others after.
  subroutine sync_window()
    if (coupler%has_window) call MPI_Win_sync(coupler%window)
  end subroutine sync_window

  !> How many exchanges the worker has read of those that this rank writes into its memory.
  integer(int64) function read_counter(peer) result(count)
    type(peer_type), intent(in) :: peer
    integer(int64), pointer, volatile :: counter   ! another process writes it

    counter => peer%memory(peer%counter + 1)
    count = counter
  end function read_counter

  !> How many answers this rank has read from the worker's memory.
  subroutine write_counter(peer, count)
    type(peer_type), intent(in) :: peer
    integer(int64), intent(in) :: count
    integer(int64), pointer, volatile :: counter

    counter => peer%memory(peer%counter + 1)
    call sync_window()
    counter = count
  end subroutine write_counter
end module hcl_window
