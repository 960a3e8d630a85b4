! SPDX-License-Identifier: MIT
!> From a namelist file to a configuration, or to an error that names file, line, group and key.
module ocean_namelist
  use mpi_f08, only: MPI_Comm
  use ocean_config, only: config_type, path, word
  use ocean_job, only: abort_run, abort_together, broadcast_text, is_root
  use ocean_namelist_text, only: entry_type, read_text, split_entries
  use ocean_text, only: integer_text
  use ocean_validate, only: validate_config
  implicit none (type, external)
  private

  public :: load_config, coupling_requested

  type :: key_type
    character(word) :: group, key
    character(word) :: expected
  end type key_type

  character(*), parameter :: a_flag = '.true. or .false.'
  character(*), parameter :: a_integer = 'an integer'
  character(*), parameter :: a_integers = 'integers'
  character(*), parameter :: a_name = 'a name in quotes'
  character(*), parameter :: a_names = 'names in quotes'
  character(*), parameter :: a_number = 'a number'
  character(*), parameter :: a_numbers = 'numbers'

  type(key_type), parameter :: keys(*) = [ &
    key_type('experiment', 'name', a_name), &
    key_type('experiment', 'directory', a_name), &
    key_type('experiment', 'origin', a_name), &
    key_type('experiment', 'calendar', a_name), &
    key_type('grid', 'nx', a_integer), &
    key_type('grid', 'ny', a_integer), &
    key_type('grid', 'nz', a_integer), &
    key_type('grid', 'geometry', a_name), &
    key_type('grid', 'length_x', a_number), &
    key_type('grid', 'length_y', a_number), &
    key_type('grid', 'west', a_number), &
    key_type('grid', 'south', a_number), &
    key_type('grid', 'width', a_number), &
    key_type('grid', 'height', a_number), &
    key_type('grid', 'periodic_x', a_flag), &
    key_type('grid', 'periodic_y', a_flag), &
    key_type('grid', 'f0', a_number), &
    key_type('grid', 'beta', a_number), &
    key_type('grid', 'land', a_name), &
    key_type('grid', 'land_file', a_name), &
    key_type('grid', 'free_slip', a_flag), &
    key_type('domain', 'px', a_integer), &
    key_type('domain', 'py', a_integer), &
    key_type('time', 'dt', a_integer), &
    key_type('time', 'steps', a_integer), &
    key_type('time', 'restart_every', a_integer), &
    key_type('time', 'restart_from', a_name), &
    key_type('time', 'write_restart', a_flag), &
    key_type('layers', 'thickness', a_numbers), &
    key_type('layers', 'reduced_gravity', a_numbers), &
    key_type('layers', 'density', a_number), &
    key_type('initial', 'kind', a_name), &
    key_type('initial', 'file', a_name), &
    key_type('initial', 'jet_speed', a_number), &
    key_type('initial', 'jet_width', a_number), &
    key_type('initial', 'perturbation', a_number), &
    key_type('dynamics', 'vorticity', a_name), &
    key_type('dynamics', 'linear', a_flag), &
    key_type('viscosity', 'laplacian', a_number), &
    key_type('viscosity', 'biharmonic', a_number), &
    key_type('viscosity', 'smagorinsky_laplacian', a_number), &
    key_type('viscosity', 'smagorinsky_biharmonic', a_number), &
    key_type('forcing', 'wind', a_name), &
    key_type('forcing', 'wind_stress', a_number), &
    key_type('forcing', 'wind_file', a_name), &
    key_type('forcing', 'drag_linear', a_number), &
    key_type('forcing', 'drag_quadratic', a_number), &
    key_type('forcing', 'drag_rayleigh', a_number), &
    key_type('closure', 'kind', a_name), &
    key_type('closure', 'preset', a_name), &
    key_type('closure', 'delay', a_integer), &
    key_type('coupling', 'enabled', a_flag), &
    key_type('guard', 'speed_max', a_number), &
    key_type('guard', 'thickness_min', a_number), &
    key_type('output', 'grid_file', a_flag), &
    key_type('output', 'log_every', a_integer), &
    key_type('output', 'stream_name', a_names), &
    key_type('output', 'stream_every', a_integers), &
    key_type('output', 'stream_operation', a_names)]

contains

  !> Rank 0 reads the file, all ranks understand it; an error ends the job.
  subroutine load_config(comm, file, config)
    type(MPI_Comm), intent(in) :: comm
    character(*), intent(in) :: file
    type(config_type), intent(out) :: config
    type(entry_type), allocatable :: entries(:)
    character(:), allocatable :: text, error

    if (is_root(comm)) then
      call read_text(file, text, error)
      if (allocated(error)) call abort_run(error)
    end if
    call broadcast_text(comm, text)
    call split_entries(file, text, entries, error)
    if (.not. allocated(error)) call apply_entries(file, entries, config, error)
    if (.not. allocated(error)) call validate_config(file, entries, config, error)
    if (allocated(error)) call abort_together(comm, error)
  end subroutine load_config

  !> &coupling enabled, which every rank must know before it has a communicator.
  logical function coupling_requested(file)
    character(*), intent(in) :: file
    type(entry_type), allocatable :: entries(:)
    type(config_type) :: config
    character(:), allocatable :: text, error

    call read_text(file, text, error)
    if (.not. allocated(error)) call split_entries(file, text, entries, error)
    if (.not. allocated(error)) then
      entries = pack(entries, entries%group == 'coupling')
      call apply_entries(file, entries, config, error)
    end if
    if (allocated(error)) call abort_run(error)
    coupling_requested = config%coupling%enabled
  end function coupling_requested

  subroutine apply_entries(file, entries, config, error)
    character(*), intent(in) :: file
    type(entry_type), intent(in) :: entries(:)
    type(config_type), intent(inout) :: config
    character(:), allocatable, intent(out) :: error
    character(:), allocatable :: place
    integer :: i, at

    do i = 1, size(entries)
      place = file//':'//integer_text(entries(i)%line)//': '
      if (.not. any(keys%group == entries(i)%group)) then
        error = place//'unknown group &'//trim(entries(i)%group)//did_you_mean(entries(i)%group, keys%group)
      else if (entries(i)%key /= '') then
        at = findloc(keys%group == entries(i)%group .and. keys%key == entries(i)%key, .true., dim=1)
        if (at == 0) then
          error = place//'&'//trim(entries(i)%group)//" has no key '"//trim(entries(i)%key)//"'"// &
            did_you_mean(entries(i)%key, pack(keys%key, keys%group == entries(i)%group))
        else if (any(entries(:i - 1)%group == entries(i)%group .and. &
                     entries(:i - 1)%written == entries(i)%written)) then
          error = place//'&'//trim(entries(i)%group)//' '//trim(entries(i)%written)//': given twice'
        else if (.not. understood(entries(i), trim(keys(at)%expected), config)) then
          error = place//'&'//trim(entries(i)%group)//' '//trim(entries(i)%written)//': got '// &
            trim(entries(i)%value)//', expected '//trim(keys(at)%expected)
        end if
      end if
      if (allocated(error)) return
    end do
  end subroutine apply_entries

  !> Let Fortran read this one value into its component of the configuration.
  logical function understood(item, expected, config)
    type(entry_type), intent(in) :: item
    character(*), intent(in) :: expected
    type(config_type), intent(inout) :: config
    namelist /model/ config
    character(len(item%value) + 256) :: text
    integer :: status

    understood = item%value /= ''
    if (expected == a_name) understood = understood .and. len_trim(item%value) <= path + 2
    if (expected == a_names) understood = understood .and. len_trim(item%value) <= path
    if (.not. understood) return
    text = '&model config%'//trim(item%group)//'%'//trim(item%written)//' = '//trim(item%value)//' /'
    read (text, nml=model, iostat=status)
    understood = status == 0
  end function understood

  !> The nearest of the allowed names, or all of them.
  function did_you_mean(got, allowed) result(hint)
    character(*), intent(in) :: got, allowed(:)
    character(:), allocatable :: hint
    integer :: i, nearest

    nearest = 1
    do i = 2, size(allowed)
      if (distance(trim(got), trim(allowed(i))) < distance(trim(got), trim(allowed(nearest)))) nearest = i
    end do
    hint = '; '
    if (distance(trim(got), trim(allowed(nearest))) <= 1 + len_trim(got)/3) then
      hint = "; did you mean '"//trim(allowed(nearest))//"'? "
    end if
    hint = hint//'Allowed: '//trim(allowed(1))
    do i = 2, size(allowed)
      if (allowed(i) /= allowed(i - 1)) hint = hint//', '//trim(allowed(i))
    end do
  end function did_you_mean

  !> Levenshtein: characters to insert, delete or replace.
  pure integer function distance(a, b)
    character(*), intent(in) :: a, b
    integer :: row(0:len(b)), i, j, diagonal, above

    row = [(j, j=0, len(b))]
    do i = 1, len(a)
      diagonal = row(0)
      row(0) = i
      do j = 1, len(b)
        above = row(j)
        row(j) = min(above + 1, row(j - 1) + 1, diagonal + merge(0, 1, a(i:i) == b(j:j)))
        diagonal = above
      end do
    end do
    distance = row(len(b))
  end function distance

end module ocean_namelist
