! SPDX-License-Identifier: MIT
!> Waiting that ends: polls briefly, then sleeps; sees a partner's failure; has a limit.
module hcl_wait
  use, intrinsic :: iso_c_binding, only: c_int
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_Comm, MPI_Message, MPI_Request, MPI_Status, MPI_ANY_SOURCE, &
    MPI_CHARACTER, MPI_STATUS_IGNORE, MPI_Get_count, MPI_Improbe, MPI_Iprobe, MPI_Recv, MPI_Start, &
    MPI_Test, MPI_Wtime
  use hcl_error, only: hcl_error_type, raise
  use hcl_protocol, only: tag_failure
  use hcl_state, only: coupler, peer_type, who
  use hcl_window, only: read_counter, sync_window
  implicit none (type, external)
  private
  public :: wait_request, wait_message, wait_counter

  !> Endless spinning doubles a step with more ranks than cores, sleeping at once makes a small
  !> exchange several times slower: so poll this long, then sleep for a share of the time waited.
  real(real64), parameter :: polling = 5e-4_real64                                   !< [s]
  real(real64), parameter :: pause_share = 0.05_real64, longest_pause = 1e-3_real64  !< [1], [s]

  interface
    integer(c_int) function c_usleep(microseconds) bind(c, name='usleep')
      import :: c_int
      implicit none (type, external)
      integer(c_int), value :: microseconds
    end function c_usleep
    integer(c_int) function c_yield() bind(c, name='sched_yield')
      import :: c_int
      implicit none (type, external)
    end function c_yield
  end interface

contains

  !> Returns when `request` is complete. `what` says for whom or what, for the error.
  subroutine wait_request(request, what, error)
    type(MPI_Request), intent(inout) :: request
    character(*), intent(in) :: what
    type(hcl_error_type), allocatable, intent(out) :: error
    real(real64) :: since
    logical :: complete

    since = MPI_Wtime()
    do
      call MPI_Test(request, complete, MPI_STATUS_IGNORE)
      if (complete) return
      call be_patient(since, what, error)
      if (allocated(error)) return
    end do
  end subroutine wait_request

  !> Returns when a worker has read at least `least` of what this rank wrote into its memory.
  subroutine wait_counter(peer, least, what, error)
    type(peer_type), intent(in) :: peer
    integer(int64), intent(in) :: least
    character(*), intent(in) :: what
    type(hcl_error_type), allocatable, intent(out) :: error
    real(real64) :: since

    since = MPI_Wtime()
    do while (read_counter(peer) < least)
      call be_patient(since, what, error)
      if (allocated(error)) return
    end do
    call sync_window()
  end subroutine wait_counter

  !> Returns when a message with `tag` from `source` has come: the message, its rank and status.
  subroutine wait_message(source, tag, what, message, status, error)
    integer, intent(in) :: source, tag
    character(*), intent(in) :: what
    type(MPI_Message), intent(out) :: message
    type(MPI_Status), intent(out) :: status
    type(hcl_error_type), allocatable, intent(out) :: error
    real(real64) :: since
    logical :: found

    since = MPI_Wtime()
    do
      call MPI_Improbe(source, tag, coupler%world, found, message, status)
      if (found) return
      call be_patient(since, what, error)
      if (allocated(error)) return
    end do
  end subroutine wait_message

  subroutine be_patient(since, what, error)
    real(real64), intent(in) :: since   !< when the wait began [s]
    character(*), intent(in) :: what
    type(hcl_error_type), allocatable, intent(out) :: error
    real(real64) :: waited
    integer(c_int) :: ignored
    character(16) :: limit

    waited = MPI_Wtime() - since
    if (waited < polling) then
      ignored = c_yield()
      return
    end if
    call see_failure(error)
    if (allocated(error)) return
    if (coupler%ending) call drop_answers()
    if (waited > coupler%time_limit) then
      write (limit, '(f0.1)') coupler%time_limit
      call raise(who()//': waited '//trim(limit)//' s for '//what// &
        '; is the other side alive, and slower than run.time_limit allows?', error)
      return
    end if
    ignored = c_usleep(int(1e6_real64*min(pause_share*waited, longest_pause), c_int))
  end subroutine be_patient

  !> What a lag owes behind the last get is more than the receives that are posted: a worker ends when
  !> all of it has been taken.
  subroutine drop_answers()
    integer :: e, p, s
    logical :: complete

    do e = 1, size(coupler%exchanges)
      do p = 1, size(coupler%exchanges(e)%peers)
        associate (peer => coupler%exchanges(e)%peers(p))
          if (.not. allocated(peer%posted)) cycle
          do s = 1, size(peer%posted)   ! all have room for any chunk
            call MPI_Test(peer%posted(s)%request, complete, MPI_STATUS_IGNORE)
            if (complete) call MPI_Start(peer%posted(s)%request)
          end do
        end associate
      end do
    end do
  end subroutine drop_answers

  !> A partner that fails tells every rank of the job in a message of its own.
  subroutine see_failure(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    type(MPI_Status) :: status
    logical :: found
    integer :: length
    character(:), allocatable :: message

    if (.not. coupler%joined) return
    call MPI_Iprobe(MPI_ANY_SOURCE, tag_failure, coupler%world, found, status)
    if (.not. found) return
    call MPI_Get_count(status, MPI_CHARACTER, length)
    allocate (character(length) :: message)
    call MPI_Recv(message, length, MPI_CHARACTER, status%MPI_SOURCE, tag_failure, coupler%world, &
      MPI_STATUS_IGNORE)
    call raise(who()//': told by '//message, error)
  end subroutine see_failure
end module hcl_wait
