! SPDX-License-Identifier: MIT
!> What the workers tell this rank to execute: words into exchanges, routes and chunks.
module hcl_plan
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use hcl_protocol, only: direction_in, direction_static, header_length, receives_ahead, &
    treatment_length
  use hcl_state, only: coupler, exchange_type, patch_type, peer_type, piece_type, treatment_type
  implicit none (type, external)
  private
  public :: read_config, read_plan

contains

  !> Time limit [ms], time step [s], windows in use (0 or 1), then of each exchange: number, direction,
  !> period, lag, wire, fields, and what happens to each.
  subroutine read_config(config)
    integer(int64), intent(in) :: config(:)
    type(exchange_type) :: new
    integer :: at, fields, i

    coupler%time_limit = real(config(1), real64)/1000
    coupler%time_step = config(2)
    coupler%has_window = config(3) == 1
    at = 4
    do while (at <= size(config))
      new%number = int(config(at))
      new%direction = int(config(at + 1))
      new%period = config(at + 2)
      new%lag = int(config(at + 3))
      new%wire = int(config(at + 4))
      fields = int(config(at + 5))
      new%fields = int(config(at + 6:at + 5 + fields))
      at = at + 6 + fields
      new%treatments = [(treatment_of(config(at + treatment_length*i:)), i=0, fields - 1)]
      at = at + treatment_length*fields
      if (allocated(new%done)) deallocate (new%done, new%peers)
      allocate (new%done(fields), source=.false.)
      allocate (new%peers(0))
      do i = 1, fields
        associate (field => coupler%fields(new%fields(i)))
          field%use_count = field%use_count + 1
        end associate
      end do
      coupler%exchanges = [coupler%exchanges, new]
    end do
  end subroutine read_config

  !> Operation, first and last level, scale and offset (the bits of real64)
  pure function treatment_of(words) result(new)
    integer(int64), intent(in) :: words(:)
    type(treatment_type) :: new

    new%operation = int(words(1))
    new%first = int(words(2))
    new%last = int(words(3))
    new%scale = transfer(words(4), new%scale)
    new%offset = transfer(words(5), new%offset)
    ! the offset of a field without one is -0.0, which changes no value
    new%converts = words(4) /= transfer(1.0_real64, words(4)) .or. &
      words(5) /= transfer(-0.0_real64, words(5))
  end function treatment_of

  !> Of each exchange with worker rank `source`: number, whether the worker shares its memory and if
  !> so where, then for each field the number of its patches and, for each, ni, nj, i, j (from 0),
  !> step_i, step_j, sign, and i, j (from 0) in the worker's array; then the chunks. The number of
  !> rows of an index list is negative: see row_of.
  subroutine read_plan(plan, source)
    integer(int64), intent(in) :: plan(:)
    integer, intent(in) :: source
    type(peer_type) :: peer
    integer :: at, e, f, p
    logical :: rows

    at = 1
    do while (at <= size(plan))
      e = findloc(coupler%exchanges%number, int(plan(at)), dim=1)
      at = at + 1
      associate (exchange => coupler%exchanges(e))
        peer = peer_type(rank=source)
        allocate (peer%routes(size(exchange%fields)))
        call read_place(plan, at, peer)
        do f = 1, size(exchange%fields)
          associate (route => peer%routes(f))
            rows = plan(at) < 0
            allocate (route%patches(abs(plan(at))))
            at = at + 1
            do p = 1, size(route%patches)
              if (rows) then
                route%patches(p) = row_of(plan(at:at + 1))
                at = at + 2
              else
                route%patches(p) = patch_of(plan(at:at + 8))
                at = at + 9
              end if
              peer%values = peer%values + int(route%patches(p)%ni, int64)*route%patches(p)%nj &
                *(exchange%treatments(f)%last - exchange%treatments(f)%first + 1)
            end do
          end associate
        end do
        call read_chunks(plan, at, exchange, peer)
        exchange%peers = [exchange%peers, peer]
      end associate
    end do
  end subroutine read_plan

  pure type(patch_type) function patch_of(words)
    integer(int64), intent(in) :: words(9)

    patch_of = patch_type(int(words(1)), int(words(2)), int(words(3)) + 1, int(words(4)) + 1, &
      int(words(5)), int(words(6)), int(words(7)), int(words(8)), int(words(9)))
  end function patch_of

  !> A row of an index list in two words: its place in the list (from 0) and its cells; and j, i in
  !> the worker's array, step and sign.
  pure type(patch_type) function row_of(words)
    integer(int64), intent(in) :: words(2)
    integer :: low, sign

    low = int(ibits(words(2), 0, 32))
    sign = merge(-1, 1, btest(low, 0))
    row_of = patch_type(int(ibits(words(1), 0, 32)), 1, int(shiftr(words(1), 32)) + 1, 1, &
      ibits(low, 1, 2) - 1, 1, sign, shiftr(low, 3), int(shiftr(words(2), 32)))
  end function row_of

  !> Where the worker's arrays and counter lie in its memory, if it shares it with this rank.
  subroutine read_place(plan, at, peer)
    integer(int64), intent(in) :: plan(:)
    integer, intent(inout) :: at
    type(peer_type), intent(inout) :: peer
    integer :: f

    peer%windowed = plan(at) == 1
    at = at + 1
    if (.not. peer%windowed) return
    peer%node_rank = int(plan(at))
    peer%counter = plan(at + 1)
    peer%slot_words = plan(at + 2)
    at = at + 3
    do f = 1, size(peer%routes)
      peer%routes(f)%place = plan(at)
      peer%routes(f)%nj = int(plan(at + 1))
      peer%routes(f)%ni = int(plan(at + 2))
      at = at + 3
    end do
  end subroutine read_place

  !> Number of chunks, then of each how many pieces, and of each piece field, first level, levels.
  subroutine read_chunks(plan, at, exchange, peer)
    integer(int64), intent(in) :: plan(:)
    integer, intent(inout) :: at
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(inout) :: peer
    integer :: c, n

    allocate (peer%chunks(plan(at)))
    at = at + 1
    do c = 1, size(peer%chunks)
      associate (chunk => peer%chunks(c))
        allocate (chunk%pieces(plan(at)))
        chunk%missing = size(chunk%pieces)
        at = at + 1
        do n = 1, size(chunk%pieces)
          chunk%pieces(n) = piece_type(int(plan(at)), int(plan(at + 1)), int(plan(at + 2)), chunk%values)
          if (.not. peer%windowed) chunk%values = chunk%values + plan(at + 2) &
            *sum(int(peer%routes(int(plan(at)))%patches%ni, int64)*peer%routes(int(plan(at)))%patches%nj)
          at = at + 3
        end do
      end associate
    end do
    call make_slots(exchange, peer)
  end subroutine read_chunks

  !> Buffers: lag + 2 exchanges can be under way, so that a put never overwrites what is not yet
  !> taken; of an answer's chunks a few are received ahead.
  subroutine make_slots(exchange, peer)
    type(exchange_type), intent(in) :: exchange
    type(peer_type), intent(inout) :: peer
    integer(int64) :: words(size(peer%chunks))
    integer :: c, s, slots

    if (size(peer%chunks) == 0) return
    words = header_length + (peer%chunks%values*exchange%wire + 7)/8
    if (exchange%direction == direction_in) then
      allocate (peer%posted(receives_ahead))
      do s = 1, receives_ahead
        allocate (peer%posted(s)%words(maxval(words)), source=0_int64)
      end do
      return
    end if
    slots = merge(1, exchange%lag + 2, exchange%direction == direction_static)
    do c = 1, size(peer%chunks)
      allocate (peer%chunks(c)%slots(slots))
      do s = 1, slots
        allocate (peer%chunks(c)%slots(s)%words(words(c)), source=0_int64)
      end do
    end do
  end subroutine make_slots
end module hcl_plan
