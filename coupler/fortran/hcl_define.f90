! SPDX-License-Identifier: MIT
!> What the model declares before it starts: its grids and who owns which cells of them, the fields
!> it can put and get.
module hcl_define
  use, intrinsic :: iso_fortran_env, only: int64
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_protocol, only: direction_in, direction_out, direction_static, name_length
  use hcl_points, only: runs_of_points, runs_of_segments
  use hcl_state, only: coupler, field_type, grid_type, who
  implicit none (type, external)
  private
  public :: hcl_define_grid, hcl_define_points, hcl_define_segments, hcl_define_field
  public :: hcl_out, hcl_in, hcl_static

  !> Direction of a field, seen from the model; a static field is put once, before the first step.
  integer, parameter :: hcl_out = direction_out
  integer, parameter :: hcl_in = direction_in
  integer, parameter :: hcl_static = direction_static

contains

  !> Declares grid `name` of nx x ny cells, of which this rank owns
  !> box = [i_first, i_last, j_first, j_last], global and counted from 1. The model's arrays carry
  !> `halo` more cells on each side. `periodic` (x, y), where given, is compared with the spec.
  !> holes=.true.: cells that no rank owns are meant (dropped land); else they are an error.
  subroutine hcl_define_grid(grid, name, nx, ny, box, halo, periodic, holes, error)
    integer, intent(out) :: grid
    character(*), intent(in) :: name
    integer, intent(in) :: nx, ny
    integer, intent(in) :: box(4)
    integer, intent(in) :: halo
    logical, intent(in), optional :: periodic(2), holes
    type(hcl_error_type), allocatable, intent(out), optional :: error

    call add_grid('hcl_define_grid', grid_type(name, nx, ny, box, halo), len(name), periodic, holes, &
      grid, error)
  end subroutine hcl_define_grid

  !> As hcl_define_grid, for a rank that owns the cells of a list: `indices` i + (j-1)*nx, from 1, in
  !> the order of the model's arrays, which are field(point) or field(point, level) without a halo.
  subroutine hcl_define_points(grid, name, nx, ny, indices, periodic, holes, error)
    integer, intent(out) :: grid
    character(*), intent(in) :: name
    integer, intent(in) :: nx, ny
    integer(int64), intent(in) :: indices(:)
    logical, intent(in), optional :: periodic(2), holes
    type(hcl_error_type), allocatable, intent(out), optional :: error

    call add_points('hcl_define_points', name, nx, ny, runs_of_points(indices), periodic, holes, &
      grid, error)
  end subroutine hcl_define_points

  !> As hcl_define_points, for a list of runs: lengths(n) cells from index starts(n) on, and then
  !> those of the next. A run may go on in the next row.
  subroutine hcl_define_segments(grid, name, nx, ny, starts, lengths, periodic, holes, error)
    integer, intent(out) :: grid
    character(*), intent(in) :: name
    integer, intent(in) :: nx, ny
    integer(int64), intent(in) :: starts(:), lengths(:)
    logical, intent(in), optional :: periodic(2), holes
    type(hcl_error_type), allocatable, intent(out), optional :: error

    grid = 0
    if (size(starts) /= size(lengths)) then
      call raise(who()//': grid '//name//': got '//text(size(starts))//' starts and '// &
        text(size(lengths))//' lengths, expected one length for each start', error)
    else if (any(lengths < 0)) then
      call raise(who()//': grid '//name//': got a segment of '//text(minval(lengths))// &
        ' cells, expected 0 or more', error)
    else
      call add_points('hcl_define_segments', name, nx, ny, runs_of_segments(starts, lengths), &
        periodic, holes, grid, error)
    end if
  end subroutine hcl_define_segments

  subroutine add_points(call_name, name, nx, ny, runs, periodic, holes, grid, error)
    character(*), intent(in) :: call_name, name
    integer, intent(in) :: nx, ny
    integer(int64), intent(in) :: runs(:, :)
    logical, intent(in), optional :: periodic(2), holes
    integer, intent(out) :: grid
    type(hcl_error_type), allocatable, intent(out), optional :: error
    integer(int64) :: cells, wrong
    integer :: n

    grid = 0
    cells = int(nx, int64)*ny
    do n = 1, size(runs, 2)
      if (runs(1, n) >= 0 .and. runs(1, n) + runs(2, n) <= cells) cycle
      wrong = merge(runs(1, n), max(runs(1, n), cells), runs(1, n) < 0) + 1
      call raise(who()//': grid '//name//': '//call_name//' got index '//text(wrong)// &
        ', expected 1..'//text(cells)//' (i + (j-1)*nx of '//text(nx)//' x '//text(ny)//' cells)', &
        error)
      return
    end do
    call add_grid(call_name, grid_type(name, nx, ny, [1, int(sum(runs(2, :))), 1, 1], halo=0, &
      points=.true., runs=runs), len(name), periodic, holes, grid, error)
  end subroutine add_points

  subroutine add_grid(call_name, new, name_size, periodic, holes, grid, error)
    character(*), intent(in) :: call_name
    type(grid_type), intent(in) :: new
    integer, intent(in) :: name_size   !< characters of the name that the model gave
    logical, intent(in), optional :: periodic(2), holes
    integer, intent(out) :: grid
    type(hcl_error_type), allocatable, intent(out), optional :: error
    integer :: n

    grid = 0
    if (.not. coupler%initialized .or. coupler%started) then
      call raise(who()//': '//call_name//' belongs between hcl_init and hcl_start', error)
      return
    end if
    if (new%nx < 1 .or. new%ny < 1 .or. new%halo < 0) then
      call raise(who()//': grid '//trim(new%name)//': got '//text(new%nx)//' x '//text(new%ny)// &
        ' cells, halo '//text(new%halo)//', expected at least 1 x 1 cells and a halo of 0 or more', &
        error)
      return
    end if
    if (name_size > name_length) then
      call raise(who()//': grid '//trim(new%name)//': got a name of '//text(name_size)// &
        ' characters, expected '//text(name_length)//' at most', error)
      return
    end if
    if (.not. allocated(coupler%grids)) allocate (coupler%grids(0))
    do n = 1, size(coupler%grids)   ! the workers know a grid by its name; its arrays may differ in halo
      associate (old => coupler%grids(n))
        if (old%name /= new%name) cycle
        if (all([old%nx, old%ny, old%box] == [new%nx, new%ny, new%box]) .and. &
            .not. (old%points .or. new%points)) cycle
        call raise(who()//': grid '//trim(new%name)//' is declared twice, with other cells; '// &
          'expected a name for each grid', error)
        return
      end associate
    end do
    coupler%grids = [coupler%grids, new]
    grid = size(coupler%grids)
    if (present(periodic)) coupler%grids(grid)%periodic = merge(1, 0, periodic)
    if (present(holes)) coupler%grids(grid)%holes = holes
  end subroutine add_grid

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
