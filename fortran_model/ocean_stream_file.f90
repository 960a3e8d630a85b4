! SPDX-License-Identifier: MIT
!> CF-1.8 files: the header and fixed variables of an output stream, and the grid file.
module ocean_stream_file
  use netcdf, only: nf90_def_dim, nf90_enddef, nf90_global, nf90_put_var, nf90_unlimited
  use ocean_config, only: config_type
  use ocean_domain, only: domain_type, gather_to_root
  use ocean_grid, only: axis, grid_type
  use ocean_kinds, only: wp
  use ocean_netcdf, only: check, close_file, create_file, define_variable, write_attribute, write_field
  implicit none (type, external)
  private

  public :: cell_methods, create_stream_file, write_grid_file

  !> NetCDF dimensions of a stream file.
  type :: dimensions_type
    integer :: x_t = 0, x_u = 0, y_t = 0, y_v = 0, layer = 0, time = 0, bounds = 0
  end type dimensions_type

contains

  !> Called by all ranks; id on rank 0.
  subroutine create_stream_file(config, domain, grid, file, average, id)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    character(*), intent(in) :: file
    logical, intent(in) :: average   !< over time, not instants
    integer, intent(out) :: id

    id = -1
    if (domain%rank == 0) id = define_stream(config, file, average)
    if (domain%rank == 0) call write_axes(config, id)
    call write_static(domain, id, 'area_t', grid%area_t)
    call write_static(domain, id, 'area_u', grid%area_u)
    call write_static(domain, id, 'area_v', grid%area_v)
    call write_static(domain, id, 'mask_t', grid%mask_t)
    call write_static(domain, id, 'mask_u', grid%mask_u)
    call write_static(domain, id, 'mask_v', grid%mask_v)
  end subroutine create_stream_file

  subroutine write_static(domain, id, name, field)
    type(domain_type), intent(in) :: domain
    integer, intent(in) :: id
    character(*), intent(in) :: name
    real(wp), intent(in), contiguous :: field(:, :)
    real(wp), allocatable :: global(:, :)
    call gather_to_root(domain, field, global)
    if (domain%rank == 0) call write_field(id, name, reshape(global, [shape(global), 1]))
  end subroutine write_static

  integer function define_stream(config, file, average) result(id)
    type(config_type), intent(in) :: config
    character(*), intent(in) :: file
    logical, intent(in) :: average
    type(dimensions_type) :: d

    id = create_file(file)
    call check(nf90_def_dim(id, 'x_t', config%grid%nx, d%x_t), file, 'x_t')
    call check(nf90_def_dim(id, 'x_u', config%grid%nx, d%x_u), file, 'x_u')
    call check(nf90_def_dim(id, 'y_t', config%grid%ny, d%y_t), file, 'y_t')
    call check(nf90_def_dim(id, 'y_v', config%grid%ny, d%y_v), file, 'y_v')
    call check(nf90_def_dim(id, 'layer', config%grid%nz, d%layer), file, 'layer')
    call check(nf90_def_dim(id, 'bounds', 2, d%bounds), file, 'bounds')
    call check(nf90_def_dim(id, 'time', nf90_unlimited, d%time), file, 'time')
    call write_attribute(id, nf90_global, 'Conventions', 'CF-1.8')
    call write_attribute(id, nf90_global, 'title', config%experiment%name)
    call write_attribute(id, nf90_global, 'source', 'ocean_model, stacked shallow water on a C-grid')
    call define_axes(config, id, d)
    call define_statics(id, d)
    call define_fields(config, id, d, average)
    call check(nf90_enddef(id), file, 'header')
  end function define_stream

  subroutine define_axes(config, id, d)
    type(config_type), intent(in) :: config
    integer, intent(in) :: id
    type(dimensions_type), intent(in) :: d
    integer :: variable

    call one('x_t', d%x_t, 'X', 'x of cell centres')
    call one('x_u', d%x_u, 'X', 'x of east faces')
    call one('y_t', d%y_t, 'Y', 'y of cell centres')
    call one('y_v', d%y_v, 'Y', 'y of north faces')
    variable = define_variable(id, 'layer', [d%layer], '1', 'layer, from the top', integers=.true.)
    call write_attribute(id, variable, 'axis', 'Z')
    call write_attribute(id, variable, 'positive', 'down')
    variable = define_variable(id, 'time', [d%time], 'seconds since '//config%experiment%origin, &
      'time', 'time')
    call write_attribute(id, variable, 'axis', 'T')
    call write_attribute(id, variable, 'calendar', config%experiment%calendar)
    call write_attribute(id, variable, 'bounds', 'time_bounds')
    variable = define_variable(id, 'time_bounds', [d%bounds, d%time])

  contains

    subroutine one(name, dimension, direction, long_name)
      character(*), intent(in) :: name, direction, long_name
      integer, intent(in) :: dimension
      logical :: east
      east = direction == 'X'
      if (config%grid%geometry == 'cartesian') then
        variable = define_variable(id, name, [dimension], 'm', long_name)
      else
        variable = define_variable(id, name, [dimension], &
          trim(merge('degrees_east ', 'degrees_north', east)), long_name, &
          trim(merge('longitude', 'latitude ', east)))
      end if
      call write_attribute(id, variable, 'axis', direction)
      call write_attribute(id, variable, 'bounds', name//'_bounds')
      variable = define_variable(id, name//'_bounds', [d%bounds, dimension])
    end subroutine one

  end subroutine define_axes

  subroutine define_statics(id, d)
    integer, intent(in) :: id
    type(dimensions_type), intent(in) :: d
    integer :: variable
    variable = define_variable(id, 'area_t', [d%x_t, d%y_t], 'm2', 'area of cells', 'cell_area')
    variable = define_variable(id, 'area_u', [d%x_u, d%y_t], 'm2', 'area around east faces', 'cell_area')
    variable = define_variable(id, 'area_v', [d%x_t, d%y_v], 'm2', 'area around north faces', 'cell_area')
    variable = define_variable(id, 'mask_t', [d%x_t, d%y_t], '1', 'sea cells: 1', 'sea_binary_mask')
    variable = define_variable(id, 'mask_u', [d%x_u, d%y_t], '1', 'open east faces: 1', 'sea_binary_mask')
    variable = define_variable(id, 'mask_v', [d%x_t, d%y_v], '1', 'open north faces: 1', 'sea_binary_mask')
  end subroutine define_statics

  subroutine define_fields(config, id, d, average)
    type(config_type), intent(in) :: config
    integer, intent(in) :: id
    type(dimensions_type), intent(in) :: d
    logical, intent(in) :: average

    call one('uo', [d%x_u, d%y_t, d%layer, d%time], 'm s-1', 'velocity through east faces', &
      'sea_water_x_velocity', 'area_u')
    call one('vo', [d%x_t, d%y_v, d%layer, d%time], 'm s-1', 'velocity through north faces', &
      'sea_water_y_velocity', 'area_v')
    call one('thickness', [d%x_t, d%y_t, d%layer, d%time], 'm', 'layer thickness', 'cell_thickness', 'area_t')
    call one('zos', [d%x_t, d%y_t, d%time], 'm', 'height of the surface above rest', &
      'sea_surface_height_above_geoid', 'area_t')
    if (config%closure%kind == 'none') return
    call one('su', [d%x_u, d%y_t, d%layer, d%time], 'm s-2', 'closure forcing of uo', '', 'area_u')
    call one('sv', [d%x_t, d%y_v, d%layer, d%time], 'm s-2', 'closure forcing of vo', '', 'area_v')

  contains

    subroutine one(name, dimensions, units, long_name, standard_name, area)
      character(*), intent(in) :: name, units, long_name, standard_name, area
      integer, intent(in) :: dimensions(:)
      integer :: variable
      variable = define_variable(id, name, dimensions, units, long_name, standard_name)
      call write_attribute(id, variable, 'cell_measures', 'area: '//area)
      call write_attribute(id, variable, 'cell_methods', cell_methods(average))
    end subroutine one

  end subroutine define_fields

  !> What CF calls averages over time and instants.
  pure function cell_methods(average) result(text)
    logical, intent(in) :: average
    character(:), allocatable :: text
    text = trim(merge('time: mean ', 'time: point', average))
  end function cell_methods

  subroutine write_axes(config, id)
    type(config_type), intent(in) :: config
    integer, intent(in) :: id
    integer :: k

    call one('x_t', .true., config%grid%nx, -0.5_wp)
    call one('x_u', .true., config%grid%nx, 0.0_wp)
    call one('y_t', .false., config%grid%ny, -0.5_wp)
    call one('y_v', .false., config%grid%ny, 0.0_wp)
    call write_field(id, 'layer', reshape([(real(k, wp), k=1, config%grid%nz)], [config%grid%nz, 1, 1]))

  contains

    subroutine one(name, along_x, length, shift)
      character(*), intent(in) :: name
      logical, intent(in) :: along_x
      integer, intent(in) :: length
      real(wp), intent(in) :: shift   !< of cell i from position i
      real(wp) :: centre(length, 1, 1), edges(2, length, 1)
      integer :: i
      do i = 1, length
        centre(i, 1, 1) = axis(config%grid, along_x, i + shift)
        edges(1, i, 1) = axis(config%grid, along_x, i + shift - 0.5_wp)
        edges(2, i, 1) = axis(config%grid, along_x, i + shift + 0.5_wp)
      end do
      call write_field(id, name, centre)
      call write_field(id, name//'_bounds', edges)
    end subroutine one

  end subroutine write_axes

  !> All of grid_type as global (y, x) arrays under the components' names.
  subroutine write_grid_file(config, domain, grid, file)
    type(config_type), intent(in) :: config
    type(domain_type), intent(in) :: domain
    type(grid_type), intent(in) :: grid
    character(*), intent(in) :: file
    character(*), parameter :: points = 'tuvf'
    integer :: id, x, y, p, variable
    character :: at
    character(:), allocatable :: units_x, units_y

    units_x = 'm'
    units_y = 'm'
    if (grid%spherical) then
      units_x = 'degrees_east'
      units_y = 'degrees_north'
    end if
    if (domain%rank == 0) then
      id = create_file(file)
      call check(nf90_def_dim(id, 'x', config%grid%nx, x), file, 'x')
      call check(nf90_def_dim(id, 'y', config%grid%ny, y), file, 'y')
      call write_attribute(id, nf90_global, 'title', trim(config%experiment%name)//': grid')
      call write_attribute(id, nf90_global, 'points', &
        't: cells, u: their east faces, v: their north faces, f: their north-east corners')
      do p = 1, len(points)
        at = points(p:p)
        variable = define_variable(id, 'x_'//at, [x, y], units_x)
        variable = define_variable(id, 'y_'//at, [x, y], units_y)
        variable = define_variable(id, 'dx_'//at, [x, y], 'm', 'cell width')
        variable = define_variable(id, 'dy_'//at, [x, y], 'm', 'cell height')
        variable = define_variable(id, 'area_'//at, [x, y], 'm2', 'cell area', 'cell_area')
        variable = define_variable(id, 'mask_'//at, [x, y], '1', 'sea: 1', 'sea_binary_mask')
      end do
      variable = define_variable(id, 'coriolis_f', [x, y], 's-1', standard_name='coriolis_parameter')
      call check(nf90_enddef(id), file, 'header')
    end if
    call write_point('t', grid%x_t, grid%y_t, grid%dx_t, grid%dy_t, grid%area_t, grid%mask_t)
    call write_point('u', grid%x_u, grid%y_u, grid%dx_u, grid%dy_u, grid%area_u, grid%mask_u)
    call write_point('v', grid%x_v, grid%y_v, grid%dx_v, grid%dy_v, grid%area_v, grid%mask_v)
    call write_point('f', grid%x_f, grid%y_f, grid%dx_f, grid%dy_f, grid%area_f, grid%mask_f)
    call write_static(domain, id, 'coriolis_f', grid%coriolis_f)
    if (domain%rank == 0) call close_file(id, file)

  contains

    subroutine write_point(at, x, y, dx, dy, area, mask)
      character, intent(in) :: at
      real(wp), intent(in), contiguous, dimension(:, :) :: x, y, dx, dy, area, mask
      call write_static(domain, id, 'x_'//at, x)
      call write_static(domain, id, 'y_'//at, y)
      call write_static(domain, id, 'dx_'//at, dx)
      call write_static(domain, id, 'dy_'//at, dy)
      call write_static(domain, id, 'area_'//at, area)
      call write_static(domain, id, 'mask_'//at, mask)
    end subroutine write_point

  end subroutine write_grid_file

end module ocean_stream_file
