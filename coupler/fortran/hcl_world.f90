! SPDX-License-Identifier: MIT
!> Who is in the job: components found by name, never by their place on the command line.
module hcl_world
  use, intrinsic :: iso_fortran_env, only: real64
  use mpi_f08, only: MPI_Comm, MPI_Request, MPI_CHARACTER, MPI_COMM_WORLD, &
    MPI_MAX_LIBRARY_VERSION_STRING, MPI_Comm_idup, MPI_Comm_rank, MPI_Comm_size, MPI_Comm_split, &
    MPI_Get_library_version, MPI_Iallgather, MPI_Init, MPI_Initialized
  use hcl_error, only: hcl_error_type, launched_ranks, raise, sees_itself_alone, text
  use hcl_protocol, only: digest_length, kind_length, name_length, protocol_magic, record_length
  use hcl_state, only: coupler
  use hcl_wait, only: wait_request
  use hcl_window, only: split_nodes
  implicit none (type, external)
  private
  public :: hcl_init

  character(*), parameter :: every_program = &
    'every program of the job to join the coupling (hcl_init, Component)'

contains

  !> Joins the coupled job as component `name` and returns the communicator that the model uses
  !> instead of MPI_COMM_WORLD. Collective over `world` (default MPI_COMM_WORLD): every component
  !> of the spec calls it, models here and workers in Python. Starts MPI if the model has not.
  subroutine hcl_init(name, local, world, error)
    character(*), intent(in) :: name
    type(MPI_Comm), intent(out) :: local
    type(MPI_Comm), intent(in), optional :: world
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(hcl_error_type), allocatable :: problem
    type(MPI_Comm) :: all_ranks
    logical :: running
    character(record_length), allocatable :: records(:)

    if (coupler%initialized) then
      call raise(trim(name)//': hcl_init is called twice', error)
      return
    end if
    call MPI_Initialized(running)
    if (.not. running) call MPI_Init()
    all_ranks = MPI_COMM_WORLD
    if (present(world)) all_ranks = world
    coupler%owns_mpi = .not. running
    coupler%name = name
    call set_time_limit()
    call check_launcher(problem)
    if (.not. allocated(problem)) call join(all_ranks, problem)
    if (.not. allocated(problem)) call gather_records(name, records, problem)
    if (.not. allocated(problem)) call find_components(name, records, problem)
    if (allocated(problem)) then
      call raise(problem%message, error)
      return
    end if
    coupler%initialized = .true.
    local = coupler%local
  end subroutine hcl_init

  !> Not MPI_Comm_dup: it would wait for ever for a program of the job that never joins.
  subroutine join(all_ranks, error)
    type(MPI_Comm), intent(in) :: all_ranks
    type(hcl_error_type), allocatable, intent(out) :: error
    type(MPI_Comm), asynchronous :: shared
    type(MPI_Request) :: request

    call MPI_Comm_idup(all_ranks, shared, request)
    call wait_request(request, every_program, error)
    if (allocated(error)) return
    coupler%world = shared
    coupler%joined = .true.
  end subroutine join

  !> A program linked with another MPI than the launcher's sees itself alone, and would wait for the
  !> others for ever.
  subroutine check_launcher(error)
    type(hcl_error_type), allocatable, intent(out) :: error
    character(MPI_MAX_LIBRARY_VERSION_STRING) :: library
    integer :: length

    if (.not. sees_itself_alone()) return
    call MPI_Get_library_version(library, length)
    length = scan(library(:length)//new_line('a'), ','//new_line('a')) - 1
    call raise('the launcher started '//text(launched_ranks())//' ranks, but this one sees itself '// &
      'alone; this program is linked with '//library(:length)//': launch it with the mpirun of that '// &
      'library, or build it with the mpifort of the launcher (halocline doctor shows both)', error)
  end subroutine check_launcher

  !> HALOCLINE_TIME_LIMIT bounds the waits until the spec's own limit is known.
  subroutine set_time_limit()
    character(32) :: value
    real(real64) :: limit
    integer :: status, length

    call get_environment_variable('HALOCLINE_TIME_LIMIT', value, length, status)
    if (status /= 0 .or. length == 0) return
    read (value, *, iostat=status) limit
    if (status /= 0) return
    if (limit > 0) coupler%time_limit = limit   ! a worker says what is wrong with another
  end subroutine set_time_limit

  subroutine gather_records(name, records, error)
    character(*), intent(in) :: name
    character(record_length), allocatable, intent(out) :: records(:)
    type(hcl_error_type), allocatable, intent(out) :: error
    character(record_length), asynchronous :: record
    character(kind_length) :: kind_of_component
    character(name_length) :: padded_name
    character(digest_length) :: digest
    type(MPI_Request) :: request
    integer :: ranks

    kind_of_component = 'model'
    padded_name = name
    digest = ''
    record = protocol_magic//kind_of_component//padded_name//digest
    call MPI_Comm_size(coupler%world, ranks)
    allocate (records(ranks))
    call MPI_Comm_rank(coupler%world, coupler%rank)
    call MPI_Iallgather(record, record_length, MPI_CHARACTER, records, record_length, &
      MPI_CHARACTER, coupler%world, request)
    call wait_request(request, every_program, error)
  end subroutine gather_records

  subroutine find_components(name, records, error)
    character(*), intent(in) :: name
    character(record_length), intent(in) :: records(:)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: rank, first
    integer, allocatable :: leaders(:), workers(:), worker_leader(:)

    first = 0
    allocate (leaders(0), workers(0), worker_leader(0))
    do rank = size(records), 1, -1
      if (records(rank)(:len(protocol_magic)) /= protocol_magic) then
        call raise('rank '//text(rank - 1)//' of the job speaks protocol '// &
          records(rank)(:len(protocol_magic))//', expected '//protocol_magic// &
          '; install the same version of halocline on both sides', error)
        return
      end if
      if (name_of(records(rank)) == name) first = rank - 1
      if (kind_of(records(rank)) == 'worker') workers = [rank - 1, workers]
    end do
    do rank = 1, size(records)
      if (kind_of(records(rank)) /= 'worker') cycle
      worker_leader = [worker_leader, findloc(name_of(records), name_of(records(rank)), dim=1) - 1]
      if (any(name_of(records(:rank - 1)) == name_of(records(rank)))) cycle
      leaders = [leaders, rank - 1]
    end do
    call MPI_Comm_split(coupler%world, first, 0, coupler%local)
    call split_nodes()
    call MPI_Comm_rank(coupler%local, coupler%rank)
    call MPI_Comm_size(coupler%local, coupler%ranks)
    coupler%leaders = leaders
    coupler%workers = workers
    coupler%worker_leader = worker_leader
  end subroutine find_components

  elemental function kind_of(record) result(kind_of_component)
    character(record_length), intent(in) :: record
    character(kind_length) :: kind_of_component

    kind_of_component = record(len(protocol_magic) + 1:)
  end function kind_of

  elemental function name_of(record) result(name)
    character(record_length), intent(in) :: record
    character(name_length) :: name

    name = record(len(protocol_magic) + kind_length + 1:)
  end function name_of
end module hcl_world
