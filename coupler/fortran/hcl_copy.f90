! SPDX-License-Identifier: MIT
!> Copies a block of rows between a model's array and a message or a worker's array; see hcl_copy.c.
module hcl_copy
  use, intrinsic :: iso_c_binding, only: c_int32_t, c_int64_t, c_null_ptr, c_ptr
  implicit none (type, external)
  private
  public :: block_type, copy_block

  !> Counted in values of either side; `from` and `to` are the first cell's addresses.
  type, bind(c) :: block_type
    type(c_ptr) :: from = c_null_ptr, to = c_null_ptr
    integer(c_int64_t) :: from_step = 1           !< 1, 0 (one cell repeated) or -1
    integer(c_int64_t) :: from_row = 0, from_level = 0, to_row = 0, to_level = 0
    integer(c_int64_t) :: columns = 0, rows = 0, levels = 0
    integer(c_int32_t) :: from_bytes = 8, to_bytes = 8   !< of a value: 4 or 8
    integer(c_int32_t) :: sign = 1
    integer(c_int32_t) :: stream = 0              !< 1: write past the cache
  end type block_type

  interface
    subroutine copy_block(block) bind(c, name='hcl_copy_block')
      import :: block_type
      implicit none (type, external)
      type(block_type), intent(in) :: block
    end subroutine copy_block
  end interface
end module hcl_copy
