! SPDX-License-Identifier: MIT
!> NetCDF in the few forms the model needs. Rank 0 only; a failure ends the job with its place.
module ocean_netcdf
  use netcdf, only: nf90_close, nf90_create, nf90_def_dim, nf90_def_var, nf90_double, nf90_get_var, &
    nf90_inq_varid, nf90_inquire_dimension, nf90_inquire_variable, nf90_int, nf90_max_name, &
    nf90_max_var_dims, nf90_netcdf4, nf90_noerr, nf90_nowrite, nf90_open, nf90_put_att, &
    nf90_put_var, nf90_strerror
  use ocean_job, only: abort_run
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  public :: check, create_file, open_file, close_file, define_variable, has_variable, read_variable, &
    write_attribute, write_field

contains

  !> End the job when a NetCDF call failed.
  subroutine check(status, file, what)
    integer, intent(in) :: status
    character(*), intent(in) :: file, what
    if (status /= nf90_noerr) then
      call abort_run(trim(file)//': '//what//': '//trim(nf90_strerror(status)))
    end if
  end subroutine check

  integer function create_file(file) result(id)
    character(*), intent(in) :: file
    call check(nf90_create(file, nf90_netcdf4, id), file, 'cannot create it')
  end function create_file

  integer function open_file(file) result(id)
    character(*), intent(in) :: file
    call check(nf90_open(file, nf90_nowrite, id), file, 'cannot open it')
  end function open_file

  subroutine close_file(id, file)
    integer, intent(in) :: id
    character(*), intent(in) :: file
    call check(nf90_close(id), file, 'cannot close it')
  end subroutine close_file

  !> Define a variable with its usual attributes; empty ones are left out.
  integer function define_variable(id, name, dimensions, units, long_name, standard_name, integers) &
    result(variable)
    integer, intent(in) :: id
    character(*), intent(in) :: name
    integer, intent(in) :: dimensions(:)
    character(*), intent(in), optional :: units, long_name, standard_name
    logical, intent(in), optional :: integers   !< integer instead of double
    integer :: kind

    kind = nf90_double
    if (present(integers)) kind = merge(nf90_int, nf90_double, integers)
    call check(nf90_def_var(id, name, kind, dimensions, variable), name, 'cannot define it')
    if (present(units)) call write_attribute(id, variable, 'units', units)
    if (present(long_name)) call write_attribute(id, variable, 'long_name', long_name)
    if (present(standard_name)) call write_attribute(id, variable, 'standard_name', standard_name)
  end function define_variable

  !> Of a variable or nf90_global; an empty value is left out.
  subroutine write_attribute(id, variable, attribute, value)
    integer, intent(in) :: id, variable
    character(*), intent(in) :: attribute, value
    if (value == '') return
    call check(nf90_put_att(id, variable, attribute, trim(value)), attribute, 'cannot set it')
  end subroutine write_attribute

  !> Write (nx, ny, nz), as one record when a record number is given; nz = 1 has no level dimension.
  subroutine write_field(id, name, field, record)
    integer, intent(in) :: id
    character(*), intent(in) :: name
    real(wp), intent(in) :: field(:, :, :)
    integer, intent(in), optional :: record
    integer :: variable, rank, start(4), extent(4)

    call check(nf90_inq_varid(id, name, variable), name, 'no such variable')
    call check(nf90_inquire_variable(id, variable, ndims=rank), name, 'cannot inquire')
    start = 1
    extent = [shape(field), 1]
    if (present(record)) then
      start(rank) = record
      extent(rank) = 1
    end if
    call check(nf90_put_var(id, variable, field, start=start(:rank), count=extent(:rank)), name, &
      'cannot write it')
  end subroutine write_field

  logical function has_variable(id, name)
    integer, intent(in) :: id
    character(*), intent(in) :: name
    integer :: variable
    has_variable = nf90_inq_varid(id, name, variable) == nf90_noerr
  end function has_variable

  !> Read a whole variable whose shape must be (nz, ny, nx) in NetCDF's order; (ny, nx) will do for
  !> one layer.
  subroutine read_variable(id, file, name, field)
    integer, intent(in) :: id
    character(*), intent(in) :: file, name
    real(wp), intent(out) :: field(:, :, :)
    integer :: variable, rank, i, dimensions(nf90_max_var_dims), extent(3)
    character(120) :: message

    call check(nf90_inq_varid(id, name, variable), file, 'variable '//name)
    call check(nf90_inquire_variable(id, variable, ndims=rank, dimids=dimensions), file, name)
    extent = 1
    do i = 1, min(rank, 3)
      call check(nf90_inquire_dimension(id, dimensions(i), len=extent(i)), file, name)
    end do
    if (rank > 3 .or. any(extent /= shape(field))) then
      write (message, '(a,3(i0,a),i0,a,3(a,i0))') ': got (level, y, x) = (', extent(3), ', ', extent(2), &
        ', ', extent(1), ') of ', rank, ' dimensions, expected', ' ', size(field, 3), ' x ', &
        size(field, 2), ' x ', size(field, 1)
      call abort_run(trim(file)//': variable '//name//trim(message))
    end if
    call check(nf90_get_var(id, variable, field, count=extent(:max(rank, 1))), file, name)
  end subroutine read_variable

end module ocean_netcdf
