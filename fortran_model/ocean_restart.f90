! SPDX-License-Identifier: MIT
!> State files: global, so that any decomposition reads what any other wrote.
module ocean_restart
  use netcdf, only: nf90_def_dim, nf90_enddef, nf90_get_att, nf90_global, nf90_put_att
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, gather_to_root, halo_update, scatter_from_root
  use ocean_files, only: rename_file
  use ocean_kinds, only: dates, wp
  use ocean_job, only: broadcast
  use ocean_netcdf, only: check, close_file, create_file, define_variable, has_variable, open_file, &
    read_variable, write_attribute, write_field
  use ocean_state, only: state_type
  use ocean_text, only: step_text
  implicit none (type, external)
  private

  public :: restart_name, coupling_restart_name, write_state, read_restart

contains

  !> <directory>/<name>_<step>_restart.nc
  function restart_name(config, step) result(file)
    type(config_type), intent(in) :: config
    integer(dates), intent(in) :: step
    character(:), allocatable :: file
    file = trim(config%experiment%directory)//'/'//trim(config%experiment%name)//'_'// &
      step_text(step)//'_restart.nc'
  end function restart_name

  !> The coupler's restart lies beside the model's.
  function coupling_restart_name(file) result(beside)
    character(*), intent(in) :: file   !< ..._restart.nc
    character(:), allocatable :: beside
    beside = ''
    if (file /= '') beside = file(:index(file, '_restart.nc', back=.true.))//'coupling_restart.nc'
  end function coupling_restart_name

  !> Write all of the state; it has the file's name only when it is complete.
  subroutine write_state(config, domain, state, file)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type), intent(in) :: state
    character(*), intent(in) :: file
    integer :: id

    if (domain%rank == 0) id = define_state(config, state, file//'.part')
    call write_one('u', state%u)
    call write_one('v', state%v)
    call write_one('h', state%h)
    if (config%closure%kind /= 'none') then
      call write_one('su', state%su)
      call write_one('sv', state%sv)
      call write_one('su_next', state%su_next)
      call write_one('sv_next', state%sv_next)
    end if
    if (domain%rank /= 0) return
    call write_field(id, 'volume', reshape(state%volume, [size(state%volume), 1, 1]))
    call close_file(id, file)
    call rename_file(file//'.part', file)

  contains

    subroutine write_one(name, field)
      character(*), intent(in) :: name
      real(wp), intent(in), contiguous :: field(:, :, :)
      real(wp), allocatable :: global(:, :, :)
      call gather_to_root(domain, field, global)
      if (domain%rank == 0) call write_field(id, name, global)
    end subroutine write_one

  end subroutine write_state

  integer function define_state(config, state, file) result(id)
    type(config_type), intent(in) :: config
    type(state_type), intent(in) :: state
    character(*), intent(in) :: file
    integer :: x, y, layer, variable

    id = create_file(file)
    call check(nf90_def_dim(id, 'x', config%grid%nx, x), file, 'x')
    call check(nf90_def_dim(id, 'y', config%grid%ny, y), file, 'y')
    call check(nf90_def_dim(id, 'layer', config%grid%nz, layer), file, 'layer')
    call write_attribute(id, nf90_global, 'title', trim(config%experiment%name)//': state of the ocean model')
    call write_attribute(id, nf90_global, 'date_units', 'seconds since '//config%experiment%origin)
    call write_attribute(id, nf90_global, 'calendar', config%experiment%calendar)
    call check(nf90_put_att(id, nf90_global, 'step', state%step), file, 'step')
    call check(nf90_put_att(id, nf90_global, 'date', state%date), file, 'date')
    variable = define_variable(id, 'u', [x, y, layer], 'm s-1', 'velocity through east faces')
    variable = define_variable(id, 'v', [x, y, layer], 'm s-1', 'velocity through north faces')
    variable = define_variable(id, 'h', [x, y, layer], 'm', 'layer thickness')
    if (config%closure%kind /= 'none') then
      variable = define_variable(id, 'su', [x, y, layer], 'm s-2', 'closure forcing of u, last applied')
      variable = define_variable(id, 'sv', [x, y, layer], 'm s-2', 'closure forcing of v, last applied')
      variable = define_variable(id, 'su_next', [x, y, layer], 'm s-2', 'closure forcing of u, pending')
      variable = define_variable(id, 'sv_next', [x, y, layer], 'm s-2', 'closure forcing of v, pending')
    end if
    variable = define_variable(id, 'volume', [layer], 'm3', 'volume of each layer at the first start')
    call check(nf90_enddef(id), file, 'header')
  end function define_state

  !> A closure's field that the file does not have stays as it is: it may be switched on at a restart.
  subroutine read_restart(config, domain, state)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(state_type), intent(inout) :: state
    character(:), allocatable :: file
    real(wp), allocatable :: volume(:, :, :)
    integer(dates) :: numbers(2)
    integer :: id

    file = trim(config%time%restart_from)
    allocate (volume(size(state%volume), 1, 1))
    if (domain%rank == 0) then
      id = open_file(file)
      call check(nf90_get_att(id, nf90_global, 'step', numbers(1)), file, 'attribute step')
      call check(nf90_get_att(id, nf90_global, 'date', numbers(2)), file, 'attribute date')
      call read_variable(id, file, 'volume', volume)
    end if
    call broadcast(domain%comm, numbers)
    state%step = numbers(1)
    state%date = numbers(2)
    state%volume(:) = volume(:, 1, 1)
    call broadcast(domain%comm, state%volume)
    call read_one('u', state%u, required=.true.)
    call read_one('v', state%v, required=.true.)
    call read_one('h', state%h, required=.true.)
    call read_one('su', state%su, required=.false.)
    call read_one('sv', state%sv, required=.false.)
    call read_one('su_next', state%su_next, required=.false.)
    call read_one('sv_next', state%sv_next, required=.false.)
    if (domain%rank == 0) call close_file(id, file)

  contains

    subroutine read_one(name, field, required)
      character(*), intent(in) :: name
      real(wp), intent(inout), contiguous :: field(:, :, :)
      logical, intent(in) :: required
      real(wp), allocatable :: global(:, :, :)
      call gather_to_root(domain, field, global)
      if (domain%rank == 0) then
        if (required .or. has_variable(id, name)) call read_variable(id, file, name, global)
      end if
      call scatter_from_root(domain, global, field)
      call halo_update(domain, field)
    end subroutine read_one

  end subroutine read_restart

end module ocean_restart
