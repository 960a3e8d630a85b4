! SPDX-License-Identifier: MIT
!> Exchanges under way: which slot, which chunk, what is due. Packing is in hcl_move.f90.in.
module hcl_exchange
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_INTEGER8, MPI_STATUS_IGNORE, MPI_Cancel, MPI_Recv_init, MPI_Request_free, &
    MPI_Send_init, MPI_Start, MPI_Wait, MPI_Wtime
  use hcl_check, only: name_of
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_protocol, only: direction_in, direction_out, direction_partial, direction_static, &
    header_length, no_date, tag_data
  use hcl_state, only: coupler, exchange_type, peer_type, slot_type, who
  use hcl_trace, only: record, tracing
  use hcl_wait, only: wait_counter, wait_request
  use hcl_window, only: sync_window, write_counter
  implicit none (type, external)
  private
  public :: begin_put, piece_packed, end_put, begin_get, wait_chunk, piece_unpacked, end_get
  public :: open_messages, close_messages, slot_of, posted_of, most_chunks

contains

  pure integer function slot_of(exchange)
    type(exchange_type), intent(in) :: exchange
    integer(int64) :: slots

    slots = exchange%lag + 2
    if (exchange%direction == direction_static) slots = 1
    slot_of = int(mod(exchange%count, slots)) + 1
  end function slot_of

  pure logical function is_due(exchange, date)
    type(exchange_type), intent(in) :: exchange
    integer(int64), intent(in) :: date

    if (exchange%direction == direction_static) then
      is_due = exchange%count == 0
    else
      is_due = modulo(date, exchange%period) == 0
    end if
  end function is_due

  !> Where in `exchange` is `field`, if it carries it and is due at `date`? Else 0.
  !> Opens the exchange with the first field of a date.
  subroutine open_exchange(call_name, exchange, field, date, place, error)
    character(*), intent(in) :: call_name
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: field
    integer(int64), intent(in) :: date
    integer, intent(out) :: place
    type(hcl_error_type), allocatable, intent(out) :: error

    place = findloc(exchange%fields, field, dim=1)
    if (place == 0) return
    if (.not. is_due(exchange, date)) then
      place = 0
      return
    end if
    if (exchange%date == no_date) then
      if (date <= exchange%last) then
        call raise(who()//': '//call_name//' of '//name_of(field)//' at date '//text(date)// &
          ', but the exchange of date '//text(exchange%last)//' is complete; expected one call '// &
          'for each date, in order', error)
        return
      end if
      exchange%date = date
    end if
    if (exchange%date /= date .and. exchange%direction /= direction_static) then
      call raise(who()//': '//call_name//' of '//name_of(field)//' at date '//text(date)// &
        ', but the exchange of date '//text(exchange%date)//' still lacks '// &
        name_of(exchange%fields(findloc(exchange%done, .false., dim=1))), error)
    else if (exchange%done(place)) then
      call raise(who()//': '//call_name//' of '//name_of(field)//' twice at date '//text(date), error)
    end if
  end subroutine open_exchange

  !> Before packing: `place` of the field in the exchange, 0 if nothing is to be sent. Waits until
  !> the slot is free, which it is unless a worker is lag + 2 exchanges behind.
  subroutine begin_put(exchange, field, date, place, error)
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: field
    integer(int64), intent(in) :: date
    integer, intent(out) :: place
    type(hcl_error_type), allocatable, intent(out) :: error
    real(real64) :: begun
    integer :: p, c

    place = 0
    if (any(exchange%direction == [direction_in, direction_partial])) return
    call open_exchange('hcl_put', exchange, field, date, place, error)
    if (allocated(error) .or. place == 0 .or. any(exchange%done)) return
    begun = MPI_Wtime()
    do p = 1, size(exchange%peers)
      do c = 1, size(exchange%peers(p)%chunks)
        call wait_request(exchange%peers(p)%chunks(c)%slots(slot_of(exchange))%request, &
          'worker rank '//text(exchange%peers(p)%rank)//' of the job to take '//name_of(field), error)
        if (allocated(error)) return
      end do
      if (.not. exchange%peers(p)%windowed) cycle
      ! what the slot held was exchanged lag + 2 periods ago
      call wait_counter(exchange%peers(p), exchange%count - exchange%lag - 1, &
        'worker rank '//text(exchange%peers(p)%rank)//' of the job to read '//name_of(field), error)
      if (allocated(error)) return
    end do
    if (tracing) call record('wait', begun, MPI_Wtime(), date, field)
  end subroutine begin_put

  !> A piece of chunk number c lies packed: every chunk up to the first that lacks one leaves.
  subroutine piece_packed(exchange, peer, c)
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(inout) :: peer
    integer, intent(in) :: c

    peer%chunks(c)%missing = peer%chunks(c)%missing - 1
    do while (peer%next <= size(peer%chunks))
      associate (chunk => peer%chunks(peer%next), slot => peer%chunks(peer%next)%slots(slot_of(exchange)))
        if (chunk%missing > 0) exit
        slot%words(:header_length) = [int(exchange%number, int64), exchange%date, exchange%count, &
          chunk%values*exchange%wire]
        if (peer%windowed) call sync_window()
        call MPI_Start(slot%request)
        chunk%missing = size(chunk%pieces)
      end associate
      peer%next = peer%next + 1
    end do
  end subroutine piece_packed

  !> After packing field number `place`
  subroutine end_put(exchange, place)
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: place

    exchange%done(place) = .true.
    if (all(exchange%done)) call close_exchange(exchange)
  end subroutine end_put

  subroutine close_exchange(exchange)
    type(exchange_type), intent(inout) :: exchange

    exchange%count = exchange%count + 1
    exchange%last = exchange%date
    exchange%date = no_date
    exchange%done = .false.
    exchange%peers%next = 1
  end subroutine close_exchange

  !> Chunks of the exchange with the peer that has the most
  pure integer function most_chunks(exchange) result(most)
    type(exchange_type), intent(in) :: exchange
    integer :: p

    most = 0
    do p = 1, size(exchange%peers)
      most = max(most, size(exchange%peers(p)%chunks))
    end do
  end function most_chunks

  !> Before unpacking: `place` of the field, 0 if nothing is due.
  subroutine begin_get(exchange, field, date, place, error)
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: field
    integer(int64), intent(in) :: date
    integer, intent(out) :: place
    type(hcl_error_type), allocatable, intent(out) :: error

    place = 0
    if (exchange%direction /= direction_in) return
    call open_exchange('hcl_get', exchange, field, date, place, error)
  end subroutine begin_get

  !> Returns when chunk number c has come from `peer`. It is then the next, and lies where it was
  !> received, if it is all of what it brings; else it is kept.
  subroutine wait_chunk(exchange, peer, c, field, error)
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(inout) :: peer
    integer, intent(in) :: c, field
    type(hcl_error_type), allocatable, intent(out) :: error

    do while (peer%next <= c)
      associate (slot => peer%posted(posted_of(peer)), chunk => peer%chunks(peer%next))
        call wait_request(slot%request, name_of(field)//' of date '//text(exchange%date)// &
          ' from worker rank '//text(peer%rank)//' of the job', error)
        if (allocated(error)) then
          if (exchange%lag == 0) error%message = error%message//not_put(exchange%date)
          return
        end if
        call check_header(exchange, slot, peer%rank, error)
        if (allocated(error)) return
        if (.not. peer%windowed) then
          if (peer%next == c .and. size(chunk%pieces) == 1) return
          chunk%kept = slot%words(:header_length + (chunk%values*exchange%wire + 7)/8)
        end if
      end associate
      call post_again(peer)
    end do
    if (peer%windowed) call sync_window()
  end subroutine wait_chunk

  !> A piece of chunk number c has been unpacked.
  subroutine piece_unpacked(peer, c)
    type(peer_type), intent(inout) :: peer
    integer, intent(in) :: c

    if (peer%next == c) call post_again(peer)
  end subroutine piece_unpacked

  !> The next chunk has been taken from where it was received.
  subroutine post_again(peer)
    type(peer_type), intent(inout) :: peer

    call MPI_Start(peer%posted(posted_of(peer))%request)
    peer%next = peer%next + 1
    peer%taken = peer%taken + 1
  end subroutine post_again

  !> Which receive has the next chunk, or waits for it
  pure integer function posted_of(peer)
    type(peer_type), intent(in) :: peer

    posted_of = int(mod(peer%taken, int(size(peer%posted), int64))) + 1
  end function posted_of

  !> What a worker may wait for in vain while this rank waits for its answer of the same date.
  pure function not_put(date) result(string)
    integer(int64), intent(in) :: date
    character(:), allocatable :: string
    integer :: e, f

    string = ''
    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        if (exchange%direction /= direction_out .or. exchange%last >= date) cycle
        if (.not. is_due(exchange, date)) cycle
        do f = 1, size(exchange%fields)
          if (.not. exchange%done(f)) string = string//', '//name_of(exchange%fields(f))
        end do
      end associate
    end do
    if (string /= '') string = ' Not put yet at date '//text(date)//': '//string(3:)// &
      '; with lag 0 a worker answers when it has everything of the date'
  end function not_put

  subroutine check_header(exchange, slot, rank, error)
    type(exchange_type), intent(in) :: exchange
    type(slot_type), intent(in) :: slot
    integer, intent(in) :: rank
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64) :: expected(3)

    expected = [int(exchange%number, int64), exchange%date - exchange%lag*exchange%period, &
      exchange%count]
    if (any(slot%words(:3) /= expected)) call raise(who()//': message of worker rank '// &
      text(rank)//': got exchange, date, sequence '//triple(slot%words(:3))//', expected '// &
      triple(expected)//'; do both sides start at the same date?', error)
  end subroutine check_header

  pure function triple(words) result(string)
    integer(int64), intent(in) :: words(3)
    character(:), allocatable :: string

    string = text(words(1))//', '//text(words(2))//', '//text(words(3))
  end function triple

  !> After unpacking field number `place`: the last one gives the worker its memory back.
  subroutine end_get(exchange, place)
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: place
    integer :: p

    exchange%done(place) = .true.
    if (.not. all(exchange%done)) return
    do p = 1, size(exchange%peers)
      if (exchange%peers(p)%windowed) call write_counter(exchange%peers(p), exchange%count + 1)
    end do
    call close_exchange(exchange)
  end subroutine end_get

  !> Makes every message's request; receives are posted before their messages can come.
  subroutine open_messages()
    integer :: e, p, c, s

    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        do p = 1, size(exchange%peers)
          associate (peer => exchange%peers(p))
            if (allocated(peer%posted)) then
              do s = 1, size(peer%posted)
                call open_receive(peer%posted(s), peer%rank, tag_data + exchange%number)
              end do
              cycle
            end if
            do c = 1, size(peer%chunks)
              do s = 1, size(peer%chunks(c)%slots)
                associate (slot => peer%chunks(c)%slots(s))
                  call MPI_Send_init(slot%words, size(slot%words), MPI_INTEGER8, peer%rank, &
                    tag_data + exchange%number, coupler%world, slot%request)
                end associate
              end do
            end do
          end associate
        end do
      end associate
    end do
  end subroutine open_messages

  subroutine open_receive(slot, rank, tag)
    type(slot_type), intent(inout) :: slot
    integer, intent(in) :: rank, tag

    call MPI_Recv_init(slot%words, size(slot%words), MPI_INTEGER8, rank, tag, coupler%world, slot%request)
    call MPI_Start(slot%request)
  end subroutine open_receive

  !> At the end every send has been taken; receives for answers that never came, posted ahead, are
  !> withdrawn.
  subroutine close_messages()
    integer :: e, p, c, s

    do e = 1, size(coupler%exchanges)
      do p = 1, size(coupler%exchanges(e)%peers)
        associate (peer => coupler%exchanges(e)%peers(p))
          if (allocated(peer%posted)) then
            do s = 1, size(peer%posted)
              call MPI_Cancel(peer%posted(s)%request)
              call close_message(peer%posted(s))
            end do
            cycle
          end if
          do c = 1, size(peer%chunks)
            do s = 1, size(peer%chunks(c)%slots)
              call close_message(peer%chunks(c)%slots(s))
            end do
          end do
        end associate
      end do
    end do
  end subroutine close_messages

  subroutine close_message(slot)
    type(slot_type), intent(inout) :: slot

    call MPI_Wait(slot%request, MPI_STATUS_IGNORE)
    call MPI_Request_free(slot%request)
    deallocate (slot%words)
  end subroutine close_message
end module hcl_exchange
