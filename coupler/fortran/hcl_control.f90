! SPDX-License-Identifier: MIT
!> What concerns a whole run: restarts and its end.
module hcl_control
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_Message, MPI_Request, MPI_Status, MPI_DOUBLE_PRECISION, MPI_INTEGER8, &
    MPI_MAX, MPI_STATUS_IGNORE, MPI_Barrier, MPI_Comm_free, MPI_Finalize, MPI_Ibarrier, MPI_Mrecv, &
    MPI_Reduce, MPI_Send, MPI_Wtime
  use hcl_accumulate, only: check_puts
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_exchange, only: close_messages
  use hcl_partial, only: finish_partial, send_partial
  use hcl_protocol, only: control_end, control_restart, direction_out, no_date, &
    tag_control, tag_reply
  use hcl_state, only: coupler, coupler_type, who
  use hcl_trace, only: close_trace
  use hcl_wait, only: wait_message, wait_request
  use hcl_window, only: close_window
  implicit none (type, external)
  private
  public :: hcl_write_restart, hcl_finalize

contains

  !> Writes what is pending in the coupling (answers that a lag has not yet delivered, averages of
  !> which only a part of the steps is there) to `file`, to be given to hcl_start of a run that goes
  !> on at `date` [s]. Collective; returns when the file is complete. Call it where the model writes
  !> its own restart, between two steps.
  subroutine hcl_write_restart(date, file, error)
    integer(int64), intent(in) :: date
    character(*), intent(in) :: file
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(hcl_error_type), allocatable :: problem

    call check_complete('hcl_write_restart', problem)
    if (.not. allocated(problem)) call check_puts('hcl_write_restart', date, problem)
    if (.not. allocated(problem)) then
      call send_partial(date)
      call command(control_restart, date, trim(file), problem)
    end if
    if (.not. allocated(problem)) call finish_partial(problem)
    if (allocated(problem)) call raise(problem%message, error)
  end subroutine hcl_write_restart

  !> Ends the coupling; collective. Returns when the workers have finished their work without an
  !> error. Ends MPI if hcl_init started it.
  subroutine hcl_finalize(error)
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(hcl_error_type), allocatable :: problem
    type(coupler_type) :: fresh

    if (.not. coupler%initialized) return
    if (coupler%started) then
      call check_complete('hcl_finalize', problem)
      coupler%ending = .not. allocated(problem)
      if (.not. allocated(problem)) call command(control_end, 0_int64, '', problem)
      if (allocated(problem)) then
        call raise(problem%message, error)
        return
      end if
      call close_window()
      call MPI_Barrier(coupler%local)
      call close_messages()
      call close_trace()
    end if
    call MPI_Comm_free(coupler%node)
    call MPI_Comm_free(coupler%local)
    call MPI_Comm_free(coupler%world)
    if (coupler%owns_mpi) call MPI_Finalize()
    coupler = fresh
  end subroutine hcl_finalize

  !> An exchange of which only some fields were put is lost without a word, unless said here.
  subroutine check_complete(call_name, error)
    character(*), intent(in) :: call_name
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: e, lacking

    if (.not. coupler%started) then
      call raise(who()//': '//call_name//' before hcl_start', error)
      return
    end if
    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        if (exchange%date == no_date) cycle
        lacking = exchange%fields(findloc(exchange%done, .false., dim=1))
        call raise(who()//': '//call_name//': the exchange of date '//text(exchange%date)// &
          ' still lacks '//trim(coupler%fields(lacking)%name), error)
        return
      end associate
    end do
  end subroutine check_complete

  !> Rank 0 commands every worker rank and waits for the workers' leaders; all ranks return then.
  subroutine command(kind_of_command, date, file, error)
    integer, intent(in) :: kind_of_command
    integer(int64), intent(in) :: date
    character(*), intent(in) :: file
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64), allocatable :: words(:), profile(:)
    type(MPI_Message) :: message
    type(MPI_Status) :: status
    type(MPI_Request) :: request
    integer(int64) :: reply(1)
    integer :: i

    profile = slowest_profile()
    if (coupler%rank == 0) then
      words = [int(kind_of_command, int64), date, put_counts(), profile, as_words(file)]
      do i = 1, size(coupler%workers)
        call MPI_Send(words, size(words), MPI_INTEGER8, coupler%workers(i), tag_control, &
          coupler%world)
      end do
      do i = 1, size(coupler%leaders)
        call wait_message(coupler%leaders(i), tag_reply, 'the workers to finish', message, status, &
          error)
        if (allocated(error)) return
        call MPI_Mrecv(reply, 1, MPI_INTEGER8, message, MPI_STATUS_IGNORE)
      end do
    end if
    ! not MPI_Barrier: the other ranks must see a failure while rank 0 waits
    call MPI_Ibarrier(coupler%local, request)
    call wait_request(request, 'rank 0 and the workers', error)
  end subroutine command

  !> Number of exchanges with a count, then number and count of each.
  pure function put_counts() result(words)
    integer(int64), allocatable :: words(:)
    integer :: e

    words = [integer(int64) ::]
    do e = 1, size(coupler%exchanges)
      if (coupler%exchanges(e)%direction /= direction_out) cycle
      words = [words, int(coupler%exchanges(e)%number, int64), coupler%exchanges(e)%count]
    end do
    words = [int(size(words)/2, int64), words]
  end function put_counts

  !> Whole run, packing, waiting, unpacking [ns], the largest of any rank
  function slowest_profile() result(nanoseconds)
    integer(int64) :: nanoseconds(4)
    real(real64) :: mine(4), slowest(4)

    mine = [MPI_Wtime() - coupler%started_at, coupler%seconds_packing, coupler%seconds_waiting, &
      coupler%seconds_unpacking]
    slowest = mine
    call MPI_Reduce(mine, slowest, 4, MPI_DOUBLE_PRECISION, MPI_MAX, 0, coupler%local)
    nanoseconds = nint(slowest*1e9_real64, int64)
  end function slowest_profile

  !> A text as its length and its characters, in 8-byte words
  pure function as_words(string) result(words)
    character(*), intent(in) :: string
    integer(int64), allocatable :: words(:)
    character(8*((len(string) + 7)/8)) :: padded

    padded = string
    words = [int(len(string), int64), transfer(padded, [0_int64], (len(string) + 7)/8)]
  end function as_words
end module hcl_control
