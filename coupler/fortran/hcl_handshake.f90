! SPDX-License-Identifier: MIT
!> The handshake: the model's declarations go to the workers, which compare them with the spec,
!> plan, and send back what this rank shall execute. No geometry is computed here.
module hcl_handshake
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08, only: MPI_Message, MPI_Status, MPI_ANY_SOURCE, MPI_CHARACTER, MPI_INTEGER, &
    MPI_INTEGER8, MPI_STATUS_IGNORE, MPI_SUM, MPI_Allreduce, MPI_Bcast, MPI_Gather, MPI_Get_count, &
    MPI_Mrecv, MPI_Reduce, MPI_Scatter, MPI_Send, MPI_Wtime
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_accumulate, only: begin_accumulation
  use hcl_exchange, only: open_messages
  use hcl_partial, only: receive_partial
  use hcl_points, only: list_type, lists_for_workers, send_lists
  use hcl_protocol, only: direction_in, direction_static, header_length, name_length, &
    receives_ahead, tag_config, tag_counts, tag_declare, tag_names, tag_plan, treatment_length
  use hcl_state, only: coupler, exchange_type, field_type, grid_type, patch_type, peer_type, &
    piece_type, treatment_type, who
  use hcl_trace, only: open_trace
  use hcl_wait, only: wait_message
  use hcl_window, only: open_window
  implicit none (type, external)
  private
  public :: hcl_start

contains

  !> Ends the declarations; collective over the model's ranks. `date` [s since the model's origin]
  !> is where the run starts; `restart_file` is what hcl_write_restart wrote at that date, or ''.
  subroutine hcl_start(date, restart_file, error)
    integer(int64), intent(in), optional :: date
    character(*), intent(in), optional :: restart_file
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(hcl_error_type), allocatable :: problem
    integer(int64) :: first_date
    character(:), allocatable :: file

    if (.not. coupler%initialized .or. coupler%started) then
      call raise(who()//': hcl_start belongs behind hcl_init, once', error)
      return
    end if
    first_date = 0
    if (present(date)) first_date = date
    file = ''
    if (present(restart_file)) file = trim(restart_file)
    if (.not. allocated(coupler%grids)) allocate (coupler%grids(0))
    if (.not. allocated(coupler%fields)) allocate (coupler%fields(0))
    call compare_ranks(problem)
    if (.not. allocated(problem) .and. size(coupler%leaders) == 0) then
      call raise(who()//': no worker in this job; start it as "mpirun ... MODEL : ... python '// &
        '-m mpi4py -m ml_server SPEC --component NAME"', problem)
    end if
    if (.not. allocated(problem)) then
      call declare(first_date, file, problem)
    end if
    if (.not. allocated(problem)) call read_plans(problem)
    if (.not. allocated(problem)) call check_inputs(problem)
    if (.not. allocated(problem)) call open_trace(problem)
    if (allocated(problem)) then
      call raise(problem%message, error)
      return
    end if
    if (coupler%has_window) call open_window()
    call begin_accumulation(first_date)
    if (file /= '') call receive_partial(first_date, problem)
    if (allocated(problem)) then
      call raise(problem%message, error)
      return
    end if
    call open_messages()
    coupler%started = .true.
    coupler%started_at = MPI_Wtime()
  end subroutine hcl_start

  !> Every rank must declare the same grids and fields; only the boxes differ.
  subroutine compare_ranks(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64), allocatable :: mine(:), first(:)
    character(:), allocatable :: names, first_names
    integer :: sizes(2), first_sizes(2), wrong, total

    mine = declarations(coupler%grids, coupler%fields)
    names = declared_names(coupler%grids, coupler%fields)
    sizes = [size(mine), len(names)]
    first_sizes = sizes
    call MPI_Bcast(first_sizes, 2, MPI_INTEGER, 0, coupler%local)
    allocate (first(first_sizes(1)))
    allocate (character(first_sizes(2)) :: first_names)
    if (coupler%rank == 0) then
      first = mine
      first_names = names
    end if
    call MPI_Bcast(first, first_sizes(1), MPI_INTEGER8, 0, coupler%local)
    call MPI_Bcast(first_names, first_sizes(2), MPI_CHARACTER, 0, coupler%local)
    wrong = 1
    if (all(sizes == first_sizes)) then
      if (all(mine == first) .and. names == first_names) wrong = 0
    end if
    call MPI_Allreduce(wrong, total, 1, MPI_INTEGER, MPI_SUM, coupler%local)
    if (total > 0) call raise(who()//': '//text(total)//' ranks of '//trim(coupler%name)// &
      ' declare other grids or fields than rank 0; expected the same calls on every rank', error)
  end subroutine compare_ranks

  pure function declarations(grids, fields) result(words)
    type(grid_type), intent(in) :: grids(:)
    type(field_type), intent(in) :: fields(:)
    integer(int64), allocatable :: words(:)
    integer :: i

    words = [integer(int64) :: size(grids), size(fields)]
    do i = 1, size(grids)
      words = [words, int([grids(i)%nx, grids(i)%ny, grids(i)%periodic, &
        merge(1, 0, [grids(i)%points, grids(i)%holes])], int64)]
    end do
    do i = 1, size(fields)
      words = [words, int([fields(i)%grid, fields(i)%direction, fields(i)%levels], int64)]
    end do
  end function declarations

  pure function declared_names(grids, fields) result(names)
    type(grid_type), intent(in) :: grids(:)
    type(field_type), intent(in) :: fields(:)
    character(:), allocatable :: names
    integer :: i

    names = ''
    do i = 1, size(grids)
      names = names//grids(i)%name
    end do
    do i = 1, size(fields)
      names = names//fields(i)%name
    end do
  end function declared_names

  !> Rank 0 tells the leader of each worker component: date, declarations, every rank's boxes, and
  !> how many index lists each of its ranks shall expect. Every rank then sends its lists.
  subroutine declare(date, restart_file, error)
    integer(int64), intent(in) :: date
    character(*), intent(in) :: restart_file
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64), allocatable :: mine(:), boxes(:), words(:)
    integer(int64) :: told(size(coupler%workers)), expected(size(coupler%workers))
    character(:), allocatable :: names
    type(list_type), allocatable, asynchronous :: lists(:)
    integer :: i

    allocate (mine(4*size(coupler%grids)))
    do i = 1, size(coupler%grids)
      mine(4*i - 3:4*i) = coupler%grids(i)%box
    end do
    allocate (boxes(size(mine)*merge(coupler%ranks, 0, coupler%rank == 0)))
    call MPI_Gather(mine, size(mine), MPI_INTEGER8, boxes, size(mine), MPI_INTEGER8, 0, &
      coupler%local)
    lists = lists_for_workers()
    do i = 1, size(lists)
      told(i) = min(size(lists(i)%words), 1)
    end do
    expected = told
    call MPI_Reduce(told, expected, size(told), MPI_INTEGER8, MPI_SUM, 0, coupler%local)
    names = declared_names(coupler%grids, coupler%fields)//restart_file
    do i = 1, merge(size(coupler%leaders), 0, coupler%rank == 0)
      words = [date, int(coupler%ranks, int64), declarations(coupler%grids, coupler%fields), boxes, &
        pack(expected, coupler%worker_leader == coupler%leaders(i))]
      call MPI_Send(words, size(words), MPI_INTEGER8, coupler%leaders(i), tag_declare, coupler%world)
      call MPI_Send(names, len(names), MPI_CHARACTER, coupler%leaders(i), tag_names, coupler%world)
    end do
    call send_lists(lists, error)
  end subroutine declare

  !> From each worker component: what is exchanged, and this rank's lists.
  subroutine read_plans(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64), allocatable :: config(:), counts(:), plan(:)
    integer :: i, k, length, source
    integer :: expected(1)
    integer, allocatable :: expected_of_ranks(:)

    allocate (coupler%exchanges(0))
    allocate (expected_of_ranks(coupler%ranks), source=0)
    do i = 1, size(coupler%leaders)
      length = 0
      if (coupler%rank == 0) then
        call receive_words(coupler%leaders(i), tag_config, 'the workers to plan', config, source, error)
        if (allocated(error)) return
        call receive_words(coupler%leaders(i), tag_counts, 'the workers to plan', counts, source, error)
        if (allocated(error)) return
        length = size(config)
        expected_of_ranks = expected_of_ranks + int(counts)
      end if
      call MPI_Bcast(length, 1, MPI_INTEGER, 0, coupler%local)
      if (coupler%rank /= 0) allocate (config(length))
      call MPI_Bcast(config, length, MPI_INTEGER8, 0, coupler%local)
      call read_config(config)
      deallocate (config)
    end do
    ! plans come when every exchange is known: those of two components arrive in any order
    call MPI_Scatter(expected_of_ranks, 1, MPI_INTEGER, expected, 1, MPI_INTEGER, 0, coupler%local)
    do k = 1, expected(1)
      call receive_words(MPI_ANY_SOURCE, tag_plan, 'the plan of a worker', plan, source, error)
      if (allocated(error)) return
      call read_plan(plan, source)
    end do
  end subroutine read_plans

  subroutine receive_words(source, tag, what, words, sender, error)
    integer, intent(in) :: source, tag
    character(*), intent(in) :: what
    integer(int64), allocatable, intent(out) :: words(:)
    integer, intent(out) :: sender
    type(hcl_error_type), allocatable, intent(out) :: error
    type(MPI_Message) :: message
    type(MPI_Status) :: status
    integer :: length

    sender = -1
    call wait_message(source, tag, what, message, status, error)
    if (allocated(error)) return
    call MPI_Get_count(status, MPI_INTEGER8, length)
    allocate (words(length))
    call MPI_Mrecv(words, length, MPI_INTEGER8, message, MPI_STATUS_IGNORE)
    sender = status%MPI_SOURCE
  end subroutine receive_words

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

  !> A field that the model would wait for must come from somewhere.
  subroutine check_inputs(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: i

    do i = 1, size(coupler%fields)
      associate (field => coupler%fields(i))
        if (field%direction == direction_in .and. field%use_count == 0) then
          call raise(who()//': field '//trim(field%name)//' is declared hcl_in, but no exchange '// &
            'of the spec brings it to '//trim(coupler%name), error)
          return
        end if
      end associate
    end do
  end subroutine check_inputs
end module hcl_handshake
