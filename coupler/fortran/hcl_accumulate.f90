! SPDX-License-Identifier: MIT
!> Averages, sums and extremes over the puts between two dates at which a field travels: over
!> (date - period, date], in real64, in the order of time. At the first date there is one put, or
!> as many as the run had before: no value is made up.
module hcl_accumulate
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use hcl_error, only: hcl_error_type, raise, text
  use hcl_protocol, only: direction_out, direction_static, operation_average, operation_instant, &
    operation_max, operation_min
  use hcl_state, only: coupler, exchange_type, treatment_type, who
  implicit none (type, external)
  private
  public :: begin_accumulation, accumulates, accumulate, reduced, check_date, check_puts

contains

  !> The run starts at `date`: its first put is to come then.
  subroutine begin_accumulation(date)
    integer(int64), intent(in) :: date
    integer :: e

    do e = 1, size(coupler%exchanges)
      coupler%exchanges(e)%treatments%previous = date - coupler%time_step
    end do
  end subroutine begin_accumulation

  !> Does `exchange` need every put of `field`, also between its dates?
  pure logical function accumulates(exchange, field)
    type(exchange_type), intent(in) :: exchange
    integer, intent(in) :: field
    integer :: place

    accumulates = .false.
    if (exchange%direction /= direction_out) return
    place = findloc(exchange%fields, field, dim=1)
    if (place > 0) accumulates = exchange%treatments(place)%operation /= operation_instant
  end function accumulates

  !> One more put of `field`: `values` are its owned cells, all levels.
  subroutine accumulate(exchange, field, date, values, error)
    type(exchange_type), intent(inout) :: exchange
    integer, intent(in) :: field
    integer(int64), intent(in) :: date
    real(real64), intent(in) :: values(:, :, :)
    type(hcl_error_type), allocatable, intent(out) :: error
    integer(int64) :: expected

    associate (treatment => exchange%treatments(findloc(exchange%fields, field, dim=1)))
      expected = treatment%previous + coupler%time_step
      if (date /= expected) then
        call raise(who()//': hcl_put of '//trim(coupler%fields(field)%name)//' at date '// &
          text(date)//', expected '//text(expected)//': the spec reduces it in time, which takes '// &
          'one put at every time step ('//text(coupler%time_step)//' s)', error)
        return
      end if
      treatment%previous = date
      treatment%puts = treatment%puts + 1
      associate (new => values(:, :, treatment%first:treatment%last))
        if (treatment%puts == 1) then
          treatment%partial = new
        else
          call reduce(treatment%operation, treatment%partial, new)
        end if
      end associate
    end associate
  end subroutine accumulate

  !> A NaN stays: an extreme without it would hide that the model went wrong.
  elemental subroutine reduce(operation, partial, new)
    integer, intent(in) :: operation
    real(real64), intent(inout) :: partial
    real(real64), intent(in) :: new

    select case (operation)
    case (operation_min)
      if (new < partial .or. ieee_is_nan(new)) partial = new
    case (operation_max)
      if (new > partial .or. ieee_is_nan(new)) partial = new
    case default
      partial = partial + new
    end select
  end subroutine reduce

  !> What the puts have come to, on the owned cells and the levels that travel
  pure function reduced(treatment) result(values)
    type(treatment_type), intent(in) :: treatment
    real(real64), allocatable :: values(:, :, :)

    values = treatment%partial
    if (treatment%operation == operation_average) values = values/real(treatment%puts, real64)
  end function reduced

  !> The dates of put and get are those of steps.
  subroutine check_date(call_name, field, date, error)
    character(*), intent(in) :: call_name
    integer, intent(in) :: field
    integer(int64), intent(in) :: date
    type(hcl_error_type), allocatable, intent(out) :: error

    if (coupler%fields(field)%direction == direction_static) return
    if (modulo(date, coupler%time_step) /= 0) call raise(who()//': '//call_name//' of '// &
      trim(coupler%fields(field)%name)//' at date '//text(date)//' s, expected a multiple of the '// &
      'time step, '//text(coupler%time_step)//' s (run.dt of the spec)', error)
  end subroutine check_date

  !> A restart at `date` goes on with the put of `date`: none may be lacking, none ahead.
  subroutine check_puts(call_name, date, error)
    character(*), intent(in) :: call_name
    integer(int64), intent(in) :: date
    type(hcl_error_type), allocatable, intent(out) :: error
    integer :: e, f

    do e = 1, size(coupler%exchanges)
      associate (exchange => coupler%exchanges(e))
        do f = 1, size(exchange%fields)
          if (.not. accumulates(exchange, exchange%fields(f))) cycle
          associate (previous => exchange%treatments(f)%previous)
            if (previous + coupler%time_step == date) cycle
            call raise(who()//': '//call_name//' at date '//text(date)//', but '// &
              trim(coupler%fields(exchange%fields(f))%name)//' was last put at date '// &
              text(previous)//'; expected the step before, as the spec reduces it in time', error)
            return
          end associate
        end do
      end associate
    end do
  end subroutine check_puts
end module hcl_accumulate
