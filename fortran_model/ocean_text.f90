! SPDX-License-Identifier: MIT
!> Numbers and names as text.
module ocean_text
  use ocean_kinds, only: dates, wp
  implicit none (type, external)
  private

  public :: integer_text, number_text, lower_case, step_text

  interface integer_text
    module procedure integer_text_default, integer_text_dates
  end interface integer_text

contains

  pure function integer_text_default(value) result(text)
    integer, intent(in) :: value
    character(:), allocatable :: text
    text = integer_text_dates(int(value, dates))
  end function integer_text_default

  pure function integer_text_dates(value) result(text)
    integer(dates), intent(in) :: value
    character(:), allocatable :: text
    character(24) :: digits
    write (digits, '(i0)') value
    text = trim(digits)
  end function integer_text_dates

  !> Six significant digits.
  pure function number_text(value) result(text)
    real(wp), intent(in) :: value
    character(:), allocatable :: text
    character(24) :: digits
    write (digits, '(g0.6)') value
    text = trim(digits)
  end function number_text

  !> The digits of a step in file names, eight or more.
  pure function step_text(step) result(text)
    integer(dates), intent(in) :: step
    character(:), allocatable :: text
    character(24) :: digits
    write (digits, '(i0.8)') step
    text = trim(digits)
  end function step_text

  pure function lower_case(text) result(lower)
    character(*), intent(in) :: text
    character(len(text)) :: lower
    integer :: i
    lower = text
    do i = 1, len(text)
      if (text(i:i) >= 'A' .and. text(i:i) <= 'Z') lower(i:i) = achar(iachar(text(i:i)) + 32)
    end do
  end function lower_case

end module ocean_text
