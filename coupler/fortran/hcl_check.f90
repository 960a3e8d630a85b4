! SPDX-License-Identifier: MIT
!> Is a call of the model one that it declared?
module hcl_check
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_state, only: coupler, field_type, who
  implicit none (type, external)
  private
  public :: check_call, on_points, declared_extent, name_of

contains

  !> Is `field` known, declared for `direction`, and is the array the one it was declared with?
  subroutine check_call(call_name, field, directions, extent, error)
    character(*), intent(in) :: call_name
    integer, intent(in) :: field
    integer, intent(in) :: directions(:)
    integer, intent(in) :: extent(3)   !< of the model's array: x, y, level
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: expected(3)

    if (.not. coupler%started) then
      call raise(who()//': '//call_name//' before hcl_start', error)
    else if (field < 1 .or. field > size(coupler%fields)) then
      call raise(who()//': '//call_name//': got field id '//text(field)// &
        ', expected one that hcl_define_field returned', error)
    else if (all(coupler%fields(field)%direction /= directions)) then
      call raise(who()//': '//call_name//': field '//trim(coupler%fields(field)%name)// &
        ' is declared for the other direction', error)
    end if
    if (allocated(error)) return
    expected = declared_extent(coupler%fields(field))
    if (all(extent == expected)) return
    if (on_points(field)) then
      call raise(who()//': '//call_name//': field '//name_of(field)//': got '// &
        text(extent(1)*extent(2))//' points x '//text(extent(3))//' levels, expected '// &
        text(expected(1))//' points x '//text(expected(3))//' levels, those of the index list', error)
    else
      call raise(who()//': '//call_name//': field '//name_of(field)//': got '// &
        shape_text(extent)//' values, expected '//shape_text(expected)// &
        '; does the array include the model''s halo?', error)
    end if
  end subroutine check_call

  !> Is `field`, if it is one, on a grid of points? Its array is then (point) or (point, level).
  pure logical function on_points(field)
    integer, intent(in) :: field

    on_points = .false.
    if (.not. allocated(coupler%fields)) return
    if (field < 1 .or. field > size(coupler%fields)) return
    on_points = coupler%grids(coupler%fields(field)%grid)%points
  end function on_points

  pure function declared_extent(field) result(extent)
    type(field_type), intent(in) :: field
    integer :: extent(3)

    associate (grid => coupler%grids(field%grid))
      extent = [grid%box(2) - grid%box(1) + 1 + 2*grid%halo, &
                grid%box(4) - grid%box(3) + 1 + 2*grid%halo, field%levels]
    end associate
  end function declared_extent

  pure function shape_text(extent) result(string)
    integer, intent(in) :: extent(3)
    character(:), allocatable :: string
    character(48) :: buffer

    write (buffer, '(i0," x ",i0," x ",i0)') extent
    string = trim(buffer)
  end function shape_text

  pure function name_of(field) result(name)
    integer, intent(in) :: field
    character(:), allocatable :: name

    name = trim(coupler%fields(field)%name)
  end function name_of
end module hcl_check
