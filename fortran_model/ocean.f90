! SPDX-License-Identifier: MIT
!> ocean_model NAMELIST: stacked shallow water on a C-grid, alone or coupled.
program ocean
  use, intrinsic :: iso_fortran_env, only: int64
  use mpi_f08, only: MPI_Comm
  use ocean_config, only: config_type, path
  use ocean_coupling, only: coupling_finish, coupling_get, coupling_init, coupling_put, coupling_start, &
    coupling_write_restart
  use ocean_domain, only: build_domain, domain_type, halo_update
  use ocean_files, only: make_directory
  use ocean_grid, only: build_grid, grid_type
  use ocean_initial, only: fill_initial
  use ocean_job, only: abort_run, abort_together, start_mpi, stop_mpi
  use ocean_kinds, only: dates, wp
  use ocean_monitor, only: find_problem, note, open_log, write_log
  use ocean_namelist, only: coupling_requested, load_config
  use ocean_output, only: close_output, open_output, output_type, write_output
  use ocean_restart, only: coupling_restart_name, read_restart, restart_name, write_state
  use ocean_state, only: build_state, state_type
  use ocean_step, only: build_stepper, freeze_forcing, step_stages, stepper_type
  use ocean_text, only: integer_text, number_text
  use ocean_validate, only: stable_interval
  use zanna_bolton, only: zanna_bolton_forcing
  implicit none (type, external)

  integer, parameter :: halo_width = 2   !< of biharmonic viscosity and the raw closure
  type(config_type) :: config
  type(domain_type) :: domain
  type(grid_type) :: grid
  type(state_type) :: state
  type(stepper_type) :: stepper
  type(output_type) :: output
  integer :: log_unit, step
  integer(int64) :: clock_start

  call start_run()
  do step = 1, config%time%steps
    call halo_update(domain, state%u, state%v, state%h)
    if (config%coupling%enabled) call coupling_put(state%date, state%u, state%v, state%h)
    call freeze_forcing(domain, grid, stepper, state)
    call receive_closure()
    call step_stages(domain, grid, stepper, state)
    state%step = state%step + 1
    state%date = state%date + config%time%dt
    call stop_on_problem()
    call write_output(config, domain, state, output)
    call log_and_save()
  end do
  call finish_run()

contains

  subroutine start_run()
    type(MPI_Comm) :: comm
    character(path) :: file
    integer :: status

    call start_mpi(comm)
    call get_command_argument(1, file, status=status)
    if (status /= 0 .or. command_argument_count() /= 1) call abort_run('usage: ocean_model NAMELIST')
    if (coupling_requested(trim(file))) call coupling_init(comm)
    call load_config(comm, trim(file), config)
    domain = build_domain(comm, config%grid%nx, config%grid%ny, config%domain%px, config%domain%py, &
      config%grid%periodic_x, config%grid%periodic_y, halo_width)
    if (domain%rank == 0) call make_directory(trim(config%experiment%directory))
    grid = build_grid(config%grid, domain)
    state = build_state(config, domain)
    if (config%time%restart_from == '') then
      call fill_initial(config, domain, grid, state)
    else
      call read_restart(config, domain, state)
    end if
    stepper = build_stepper(config, domain, grid, state)
    if (config%coupling%enabled) then
      call coupling_start(config, domain, grid, coupling_restart_name(trim(config%time%restart_from)), &
        state%date)
    end if
    call open_log(config, domain, log_unit)
    call note(log_unit, 'ocean_model: '//trim(config%experiment%name)//', '// &
      integer_text(domain%nx)//' x '//integer_text(domain%ny)//' x '//integer_text(config%grid%nz)// &
      ' cells in '//integer_text(domain%px)//' x '//integer_text(domain%py)//' boxes, dt '// &
      integer_text(config%time%dt)//' s (stable to '//number_text(stable_interval(config))//' s)')
    call open_output(config, domain, grid, state, output)
    call stop_on_problem()
    call write_log(config, domain, grid, state, log_unit)
    call system_clock(clock_start)
  end subroutine start_run

  !> state%su, state%sv of this step. What is not received stays as it was.
  subroutine receive_closure()
    logical :: received
    select case (config%closure%kind)
    case ('coupled')
      call coupling_get(state%date, state%su, state%sv, received)
    case ('zb20')
      if (config%closure%delay == 1) then
        state%su(:, :, :) = state%su_next
        state%sv(:, :, :) = state%sv_next
        call zanna_bolton_forcing(domain, grid, trim(config%closure%preset), state%u, state%v, state%h, &
          state%su_next, state%sv_next)
      else
        call zanna_bolton_forcing(domain, grid, trim(config%closure%preset), state%u, state%v, state%h, &
          state%su, state%sv)
      end if
    case default   ! none: they stay zero
    end select
  end subroutine receive_closure

  !> A run that has gone wrong leaves its state for a look, and its streams readable.
  subroutine stop_on_problem()
    character(:), allocatable :: problem, file
    call find_problem(config, domain, state, problem)
    if (.not. allocated(problem)) return
    file = trim(config%experiment%directory)//'/'//trim(config%experiment%name)//'_error.nc'
    call write_state(config, domain, state, file)
    call close_output(domain, output)
    call abort_together(domain%comm, problem//'; the state is in '//file// &
      '; a shorter dt or more viscosity may help')
  end subroutine stop_on_problem

  subroutine log_and_save()
    logical :: last
    last = step == config%time%steps
    if (mod(state%step, int(config%output%log_every, dates)) == 0 .or. last) then
      call halo_update(domain, state%u, state%v)
      call write_log(config, domain, grid, state, log_unit)
    end if
    if (.not. config%time%write_restart) return
    if (config%time%restart_every > 0) then
      if (mod(state%step, int(config%time%restart_every, dates)) == 0) last = .true.
    end if
    if (last) call save_restart()
  end subroutine log_and_save

  subroutine save_restart()
    character(:), allocatable :: file
    file = restart_name(config, state%step)
    call write_state(config, domain, state, file)
    if (config%coupling%enabled) call coupling_write_restart(state%date, coupling_restart_name(file))
  end subroutine save_restart

  subroutine finish_run()
    integer(int64) :: clock_end, clock_rate
    real(wp) :: seconds
    call close_output(domain, output)
    call system_clock(clock_end, clock_rate)
    seconds = max(real(clock_end - clock_start, wp)/clock_rate, 1.0e-6_wp)
    call note(log_unit, integer_text(config%time%steps)//' steps in '//number_text(seconds)//' s, '// &
      number_text(config%time%steps/seconds)//' steps/s')
    if (config%coupling%enabled) call coupling_finish()
    call stop_mpi()
  end subroutine finish_run

end program ocean
