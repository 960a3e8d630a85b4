! SPDX-License-Identifier: MIT
!> Directories and renaming, which Fortran leaves to the system.
module ocean_files
  use, intrinsic :: iso_c_binding, only: c_char, c_int, c_null_char
  use ocean_job, only: abort_run
  implicit none (type, external)
  private

  public :: make_directory, rename_file

  interface
    integer(c_int) function c_mkdir(path, mode) bind(c, name='mkdir')
      import :: c_char, c_int
      implicit none (type, external)
      ! allow(C071)
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: mode
    end function c_mkdir

    integer(c_int) function c_rename(old, new) bind(c, name='rename')
      import :: c_char, c_int
      implicit none (type, external)
      ! allow(C071)
      character(kind=c_char), intent(in) :: old(*), new(*)
    end function c_rename
  end interface

contains

  !> With its parents; one that exists is fine.
  subroutine make_directory(directory)
    character(*), intent(in) :: directory
    integer(c_int), parameter :: mode = int(o'777', c_int)
    integer(c_int) :: status
    integer :: i
    ! failures show when the first file is opened
    do i = 2, len(directory)
      if (directory(i:i) == '/') status = c_mkdir(directory(:i - 1)//c_null_char, mode)
    end do
    status = c_mkdir(directory//c_null_char, mode)
  end subroutine make_directory

  subroutine rename_file(old, new)
    character(*), intent(in) :: old, new
    if (c_rename(old//c_null_char, new//c_null_char) /= 0) then
      call abort_run('cannot rename '//old//' to '//new)
    end if
  end subroutine rename_file

end module ocean_files
