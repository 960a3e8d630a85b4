! SPDX-License-Identifier: MIT
!> A model that makes one mistake, named by its argument; on two ranks with 4 x 3 cells, dt = 10 s.
!> The spec exchanges `a` and `b` for `answer`, all of 1 level.
program misuse_model
  use, intrinsic :: ieee_arithmetic, only: ieee_quiet_nan, ieee_value
  use, intrinsic :: iso_fortran_env, only: error_unit, int64, real64
  use halocline, only: hcl_define_field, hcl_define_grid, hcl_define_points, hcl_define_segments, &
    hcl_error_type, hcl_finalize, hcl_get, hcl_in, hcl_init, hcl_out, hcl_put, hcl_start, hcl_static, &
    hcl_write_restart
  use mpi_f08, only: MPI_Comm, MPI_COMM_WORLD, MPI_Comm_rank, MPI_Comm_split, MPI_Finalize, MPI_Init
  implicit none (type, external)
  type(MPI_Comm) :: comm, world
  type(hcl_error_type), allocatable :: error
  integer :: rank, grid, second, a, b, answer, lost, box(4), n
  integer(int64) :: date
  real(real64) :: field(2, 3), turned(3, 2)
  logical :: received
  character(32) :: mistake

  call get_command_argument(1, mistake)
  if (mistake == 'start without init') call hcl_start(0_int64)
  if (mistake == 'part of a job') then
    ! no mistake: another program has its own share of the job
    call MPI_Init()
    call MPI_Comm_split(MPI_COMM_WORLD, 0, 0, world)
    call hcl_init('model', comm, world)
  else
    call hcl_init('model', comm)
  end if
  if (mistake == 'init twice') call hcl_init('model', comm)
  call MPI_Comm_rank(comm, rank)
  box = [1 + 2*rank, 2 + 2*rank, 1, 3]
  select case (mistake)
  case ('gap')
    box(4) = 2
  case ('overlap')   ! the box with the model's halo: a common slip
    box(:2) = [1, 4]
  case ('outside')
    box(:2) = box(:2) + 1
  case default
  end select
  n = 4
  if (mistake == 'size') n = 5
  if (mistake(:6) == 'points') then
    call define_points()
  else
    call hcl_define_grid(grid, 'grid', n, 3, box, 0)
  end if
  if (mistake == 'ranks differ' .and. rank == 1) call hcl_define_grid(second, 'other', 4, 3, box, 0)
  if (mistake == 'grid twice') call hcl_define_grid(second, 'grid', 4, 3, [1, 1, 1, 3], 0)
  if (mistake == 'none') call hcl_define_grid(second, 'grid', 4, 3, box, 2)   ! arrays of another halo
  call hcl_define_field(a, merge('aa', 'a ', mistake == 'unknown field'), grid, hcl_out)
  call hcl_define_field(b, 'b', grid, merge(hcl_static, hcl_out, mistake == 'direction'))
  call hcl_define_field(answer, 'answer', grid, hcl_in, levels=merge(2, 1, mistake == 'levels'))
  if (mistake == 'lost') call hcl_define_field(lost, 'lost', grid, hcl_in)
  if (mistake == 'field twice') call hcl_define_field(lost, 'a', grid, hcl_out)
  if (mistake == 'no grid') call hcl_define_field(lost, 'c', 7, hcl_out)
  if (mistake == 'no direction') call hcl_define_field(lost, 'c', grid, 7)
  field = 1
  turned = 1
  if (mistake == 'restart too early') call hcl_write_restart(0_int64, 'restart.nc')
  if (mistake == 'too early') call hcl_put(a, 0_int64, field)
  if (mistake == 'no restart') then
    call hcl_start(0_int64, 'nowhere.nc')
  else if (rank == 1 .and. mistake == 'dates differ') then
    call hcl_start(10_int64)
  else if (rank == 0 .and. mistake == 'restarts differ') then
    call hcl_start(0_int64, 'restart.nc')
  else
    call hcl_start(0_int64)
  end if
  if (mistake == 'start twice') call hcl_start(0_int64)
  if (mistake == 'too late') call hcl_define_grid(second, 'other', 4, 3, box, 0)

  do n = 0, 3
    date = 10*n
    if (n < 2) then
      call step()
      cycle
    end if
    select case (mistake)
    case ('put twice')
      call hcl_put(a, date, field)
      call hcl_put(a, date, field)
    case ('exchange twice')
      call hcl_put(a, date, field)
      call hcl_put(b, date, field)
      call hcl_put(a, date, field)
    case ('get twice')
      call step()
      call hcl_get(answer, date, field, received)
    case ('back in time')
      call hcl_put(a, 0_int64, field)
    case ('put one of two')
      call hcl_put(a, date, field)
      call hcl_get(answer, date, field, received)
    case ('get first')
      call hcl_get(answer, date, field, received)
      call hcl_put(a, date, field)
      call hcl_put(b, date, field)
    case ('half an exchange')
      call hcl_put(a, date, field)
      call hcl_finalize()
    case ('half a restart')
      call hcl_put(a, date, field)
      call hcl_write_restart(date, 'restart.nc')
    case ('missed date')
      date = date + 10
      call step()
    case ('between steps')
      call hcl_put(a, date + 5, field)
    case ('get between steps')
      call step()
      call hcl_get(answer, date + 5, field, received)
    case ('a step left out')
      call hcl_put(a, date + 10, field)
    case ('restart of another step')
      call hcl_write_restart(date + 10, 'restart.nc')
    case ('shape')
      call hcl_put(a, date, turned)
    case ('put what is got')
      call hcl_put(answer, date, field)
    case ('get what is put')
      call hcl_get(a, date, field, received)
    case ('no field')
      call hcl_put(99, date, field)
    case ('not finite')
      field(2, 1) = ieee_value(field(1, 1), ieee_quiet_nan)
      call step()
    case ('restart nowhere')
      call hcl_write_restart(date, 'nowhere/restart.nc')
    case ('error')
      call hcl_put(a, date, turned, error)
      if (.not. allocated(error)) error stop 'no error was returned'
      if (rank == 0) write (error_unit, '(2a)') 'the model says: ', error%message
      error stop 3
    case default
      call step()
    end select
  end do
  call hcl_finalize(error)
  if (allocated(error)) then
    write (error_unit, '(2a)') 'the model says: ', error%message
    error stop 3
  end if
  if (mistake == 'part of a job') call MPI_Finalize()   ! hcl_finalize must have left it alone

contains

  !> The cells of the box as a list, and what can be wrong with it
  subroutine define_points()
    integer(int64) :: indices(6)

    indices = [1, 2, 5, 6, 9, 10] + 2*rank
    select case (mistake)
    case ('points, one twice')
      if (rank == 1) indices(5) = 4
    case ('points, two owners')
      if (rank == 1) indices(5) = 6
    case ('points, outside')
      if (rank == 1) indices(5) = 13
    case ('points, from 0')
      indices = indices - 1
    case ('points, a gap')
      call hcl_define_points(grid, 'grid', 4, 3, indices(:5))
      return
    case ('points, lengths')
      call hcl_define_segments(grid, 'grid', 4, 3, indices(:5), indices)
    case ('points, a negative length')
      call hcl_define_segments(grid, 'grid', 4, 3, indices, 2 - indices)
    case default
    end select
    call hcl_define_points(grid, 'grid', 4, 3, indices)
  end subroutine define_points

  subroutine step()
    type(hcl_error_type), allocatable :: problem

    call hcl_put(a, date, field)
    call hcl_put(b, date, field)
    if (mistake == 'told') then
      call hcl_get(answer, date, field, received, problem)
      if (.not. allocated(problem)) return
      if (rank == 0) write (error_unit, '(2a)') 'the model says: ', problem%message
      error stop 3
    end if
    call hcl_get(answer, date, field, received)
  end subroutine step
end program misuse_model
