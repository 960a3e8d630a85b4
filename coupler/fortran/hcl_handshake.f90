! SPDX-License-Identifier: MIT
!> The handshake: the model's declarations go to the workers, which compare them with the spec,
!> plan, and send back what this rank shall execute. No geometry is computed here.
module hcl_handshake
  use, intrinsic :: iso_fortran_env, only: int64
  use mpi_f08, only: MPI_Message, MPI_Status, MPI_ANY_SOURCE, MPI_CHARACTER, MPI_INTEGER, &
    MPI_INTEGER8, MPI_STATUS_IGNORE, MPI_SUM, MPI_Allreduce, MPI_Bcast, MPI_Gather, MPI_Get_count, &
    MPI_Mrecv, MPI_Reduce, MPI_Scatter, MPI_Send, MPI_Wtime
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_accumulate, only: begin_accumulation
  use hcl_exchange, only: open_messages
  use hcl_partial, only: receive_partial
  use hcl_points, only: list_type, lists_for_workers, send_lists
  use hcl_plan, only: read_config, read_plan
  use hcl_protocol, only: direction_in, tag_config, tag_counts, tag_declare, tag_names, &
    tag_plan
  use hcl_state, only: coupler, field_type, grid_type, who
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
    call compare_ranks(first_date, file /= '', problem)
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

  !> Every rank must declare the same grids and fields, and start alike; only the boxes differ, and the
  !> name of a restart, of which rank 0's counts.
  subroutine compare_ranks(date, restarts, error)
    integer(int64), intent(in) :: date
    logical, intent(in) :: restarts
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64), allocatable :: mine(:), first(:)
    character(:), allocatable :: names, first_names
    integer :: sizes(2), first_sizes(2), wrong, total

    mine = [date, merge(1_int64, 0_int64, restarts), declarations(coupler%grids, coupler%fields)]
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
      ' declare other grids or fields than rank 0, or start at another date, or only some of them '// &
      'with a restart; expected the same calls on every rank', error)
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
