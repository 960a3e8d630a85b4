! SPDX-License-Identifier: MIT
!> What the model declares before it starts: its grids and boxes, the fields it can put and get.
module hcl_define
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_protocol, only: direction_in, direction_out, direction_static, name_length
  use hcl_state, only: coupler, field_type, grid_type, who
  implicit none (type, external)
  private
  public :: hcl_define_grid, hcl_define_field, hcl_out, hcl_in, hcl_static

  !> Direction of a field, seen from the model; a static field is put once, before the first step.
  integer, parameter :: hcl_out = direction_out
  integer, parameter :: hcl_in = direction_in
  integer, parameter :: hcl_static = direction_static

contains

  !> Declares grid `name` of nx x ny cells, of which this rank owns
  !> box = [i_first, i_last, j_first, j_last], global and counted from 1. The model's arrays carry
  !> `halo` more cells on each side. `periodic` (x, y), where given, is compared with the spec.
  subroutine hcl_define_grid(grid, name, nx, ny, box, halo, periodic, error)
    integer, intent(out) :: grid
    character(*), intent(in) :: name
    integer, intent(in) :: nx, ny
    integer, intent(in) :: box(4)
    integer, intent(in) :: halo
    logical, intent(in), optional :: periodic(2)
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(grid_type) :: new

    grid = 0
    if (.not. coupler%initialized .or. coupler%started) then
      call raise(who()//': hcl_define_grid belongs between hcl_init and hcl_start', error)
      return
    end if
    if (nx < 1 .or. ny < 1 .or. halo < 0) then
      call raise(who()//': grid '//name//': got '//text(nx)//' x '//text(ny)//' cells, halo '// &
        text(halo)//', expected at least 1 x 1 cells and a halo of 0 or more', error)
      return
    end if
    if (len(name) > name_length) then
      call raise(who()//': grid '//name//': got a name of '//text(len(name))// &
        ' characters, expected '//text(name_length)//' at most', error)
      return
    end if
    new = grid_type(name, nx, ny, box, halo)
    if (present(periodic)) new%periodic = merge(1, 0, periodic)
    if (.not. allocated(coupler%grids)) allocate (coupler%grids(0))
    coupler%grids = [coupler%grids, new]
    grid = size(coupler%grids)
  end subroutine hcl_define_grid

  !> Declares field `name` on `grid` with `levels` levels (default 1). Which fields travel, when and
  !> to whom, the spec decides: putting a field that it does not use costs nothing.
  subroutine hcl_define_field(field, name, grid, direction, levels, error)
    integer, intent(out) :: field
    character(*), intent(in) :: name
    integer, intent(in) :: grid
    integer, intent(in) :: direction   !< hcl_out, hcl_in or hcl_static
    integer, intent(in), optional :: levels
    type(hcl_error_type), allocatable, intent(out), optional :: error
    type(field_type) :: new
    integer :: grids, i

    field = 0
    grids = 0
    if (allocated(coupler%grids)) grids = size(coupler%grids)
    if (coupler%started .or. grid < 1 .or. grid > grids) then
      call raise(who()//': field '//name//': got grid '//text(grid)//', expected one that '// &
        'hcl_define_grid returned, before hcl_start', error)
      return
    end if
    if (len(name) > name_length) then
      call raise(who()//': field '//name//': got a name of '//text(len(name))// &
        ' characters, expected '//text(name_length)//' at most', error)
      return
    end if
    if (all(direction /= [hcl_out, hcl_in, hcl_static])) then
      call raise(who()//': field '//name//': got direction '//text(direction)// &
        ', expected hcl_out, hcl_in or hcl_static', error)
      return
    end if
    if (.not. allocated(coupler%fields)) allocate (coupler%fields(0))
    do i = 1, size(coupler%fields)
      if (coupler%fields(i)%name == name) then
        call raise(who()//': field '//name//' is declared twice', error)
        return
      end if
    end do
    new%name = name
    new%grid = grid
    new%direction = direction
    if (present(levels)) new%levels = levels
    coupler%fields = [coupler%fields, new]
    field = size(coupler%fields)
  end subroutine hcl_define_field
end module hcl_define
