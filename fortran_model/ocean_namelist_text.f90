! SPDX-License-Identifier: MIT
!> The text of a namelist file as a list of entries: group, key, value, line.
!>
!> Fortran's own namelist read says neither which group is unknown nor where a value is wrong.
module ocean_namelist_text
  use ocean_config, only: path, word
  use ocean_text, only: integer_text, lower_case
  implicit none (type, external)
  private

  public :: entry_type, read_text, split_entries

  type :: entry_type
    character(2*word) :: group = ''     !< lower case
    character(2*word) :: key = ''       !< lower case, without subscripts; '' = the group itself
    character(4*word) :: written = ''    !< as written, with subscripts
    character(8*path) :: value = ''
    integer :: line = 0
  end type entry_type

  character(*), parameter :: newline = new_line('a')
  character(*), parameter :: name_characters = 'abcdefghijklmnopqrstuvwxyz0123456789_%'

contains

  !> The whole file, its lines ended by newlines.
  subroutine read_text(file, text, error)
    character(*), intent(in) :: file
    character(:), allocatable, intent(out) :: text
    character(:), allocatable, intent(out) :: error   !< not allocated: none
    character(8*path) :: line
    character(path) :: message
    integer :: unit, status

    text = ''
    open (newunit=unit, file=file, status='old', action='read', iostat=status, iomsg=message)
    if (status /= 0) then
      error = file//': cannot open the namelist: '//trim(message)
      return
    end if
    do
      read (unit, '(a)', iostat=status) line
      if (status /= 0) exit
      text = text//trim(line)//newline
    end do
    close (unit)
  end subroutine read_text

  subroutine split_entries(file, text, entries, error)
    character(*), intent(in) :: file, text
    type(entry_type), allocatable, intent(out) :: entries(:)
    character(:), allocatable, intent(out) :: error   !< not allocated: none
    character(:), allocatable :: clean
    integer :: at, first, last

    allocate (entries(0))
    call blank_comments(file, text, clean, error)
    if (allocated(error)) return
    at = 1
    do
      first = verify(clean(at:), ' ')
      if (first == 0) return
      first = at + first - 1
      if (clean(first:first) /= '&') then
        error = place(file, text, first)//"got '"//word_at(clean, first)//"', expected a group: &name"
        return
      end if
      last = end_of_group(clean, first)
      if (last == 0) then
        error = place(file, text, first)//'&'//word_at(clean, first + 1)//" has no end: expected '/'"
        return
      end if
      call split_group(file, text, clean(:last - 1), first, entries, error)
      if (allocated(error)) return
      at = last + 1
    end do
  end subroutine split_entries

  !> Same length as the text, so that positions keep their lines; all white space is blanks.
  subroutine blank_comments(file, text, clean, error)
    character(*), intent(in) :: file, text
    character(:), allocatable, intent(out) :: clean, error
    character :: quote
    integer :: i, opened
    logical :: comment

    clean = text
    quote = ' '
    opened = 0
    comment = .false.
    do i = 1, len(text)
      if (text(i:i) == newline) then
        comment = .false.
        if (quote /= ' ') exit
      else if (quote /= ' ') then
        if (text(i:i) == quote) quote = ' '
        cycle
      else if (text(i:i) == '!') then
        comment = .true.
      else if (.not. comment .and. scan(text(i:i), '''"') == 1) then
        quote = text(i:i)
        opened = i
      end if
      if (comment .or. scan(text(i:i), newline//achar(9)//achar(13)) == 1) clean(i:i) = ' '
    end do
    if (quote /= ' ') error = place(file, text, opened)//'a string has no closing '//quote
  end subroutine blank_comments

  !> Position of the '/' that ends the group, 0 = none.
  pure integer function end_of_group(clean, first)
    character(*), intent(in) :: clean
    integer, intent(in) :: first
    character :: quote
    integer :: i

    quote = ' '
    do i = first, len(clean)
      if (quote /= ' ') then
        if (clean(i:i) == quote) quote = ' '
      else if (scan(clean(i:i), '''"') == 1) then
        quote = clean(i:i)
      else if (clean(i:i) == '/') then
        end_of_group = i
        return
      end if
    end do
    end_of_group = 0
  end function end_of_group

  !> Append the entries of the group that starts at position first and fills the rest of clean.
  subroutine split_group(file, text, clean, first, entries, error)
    character(*), intent(in) :: file, text, clean
    integer, intent(in) :: first
    type(entry_type), allocatable, intent(inout) :: entries(:)
    character(:), allocatable, intent(out) :: error
    type(entry_type) :: item
    integer :: start, equals, next, last

    item%group = word_at(clean, first + 1)
    item%group = lower_case(item%group)
    item%line = line_of(text, first)
    entries = [entries, item]
    start = first + 1 + len_trim(item%group)
    equals = next_assignment(clean, start)
    if (equals == 0 .and. verify(clean(start:), ' ') > 0) then
      error = place(file, text, start)//'&'//trim(item%group)//": got '"// &
        trim(adjustl(clean(start:)))//"', expected key = value"
    end if
    do while (equals > 0)
      start = start_of_target(clean, start, equals)
      next = next_assignment(clean, equals + 1)
      last = len(clean)
      if (next > 0) last = start_of_target(clean, equals + 1, next) - 1
      item%written = clean(start:equals - 1)
      item%key = word_at(trim(item%written), 1)
      item%key = lower_case(item%key)
      item%value = without_comma(clean(equals + 1:last))
      item%line = line_of(text, start)
      entries = [entries, item]
      start = equals + 1
      equals = next
    end do
  end subroutine split_group

  !> Position of the next '=' outside strings, 0 = none.
  pure integer function next_assignment(clean, from)
    character(*), intent(in) :: clean
    integer, intent(in) :: from
    character :: quote
    integer :: i

    quote = ' '
    next_assignment = 0
    do i = from, len(clean)
      if (quote /= ' ') then
        if (clean(i:i) == quote) quote = ' '
      else if (scan(clean(i:i), '''"') == 1) then
        quote = clean(i:i)
      else if (clean(i:i) == '=') then
        next_assignment = i
        return
      end if
    end do
  end function next_assignment

  !> First position of the name, subscripts included, that ends before the '=' at equals.
  pure integer function start_of_target(clean, from, equals) result(start)
    character(*), intent(in) :: clean
    integer, intent(in) :: from, equals
    character :: before
    integer :: last

    last = from - 1 + len_trim(clean(from:equals - 1))
    if (last >= from) then
      if (clean(last:last) == ')') last = from - 2 + index(clean(from:last), '(', back=.true.)
    end if
    last = from - 1 + len_trim(clean(from:max(last, from - 1)))
    start = last + 1
    do while (start > from)
      before = lower_case(clean(start - 1:start - 1))
      if (index(name_characters, before) == 0) exit
      start = start - 1
    end do
  end function start_of_target

  pure function without_comma(value) result(text)
    character(*), intent(in) :: value
    character(:), allocatable :: text
    integer :: last
    text = trim(adjustl(value))
    last = len(text)
    if (last > 0) then
      if (text(last:last) == ',') text = trim(text(:last - 1))
    end if
  end function without_comma

  pure function word_at(text, first) result(found)
    character(*), intent(in) :: text
    integer, intent(in) :: first
    character(:), allocatable :: found
    integer :: last
    last = scan(text(first:), ' ,=(&')
    found = text(first:)
    if (last > 0) found = text(first:first + max(last, 2) - 2)
  end function word_at

  pure function place(file, text, position) result(prefix)
    character(*), intent(in) :: file, text
    integer, intent(in) :: position
    character(:), allocatable :: prefix
    prefix = file//':'//integer_text(line_of(text, position))//': '
  end function place

  pure integer function line_of(text, position)
    character(*), intent(in) :: text
    integer, intent(in) :: position
    integer :: i
    line_of = 1
    do i = 1, min(position, len(text)) - 1
      if (text(i:i) == newline) line_of = line_of + 1
    end do
  end function line_of

end module ocean_namelist_text
