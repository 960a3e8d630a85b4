! SPDX-License-Identifier: MIT
!> What a namelist can say: one type per group, each component a key with its default.
module ocean_config
  use ocean_kinds, only: wp
  implicit none (type, external)
  private

  integer, parameter, public :: max_layers = 100
  integer, parameter, public :: max_streams = 8
  integer, parameter, public :: word = 32     !< longest name or choice
  integer, parameter, public :: path = 512    !< longest file name

  type, public :: experiment_config_type
    character(path) :: name = 'double_gyre'              !< first part of every file's name
    character(path) :: directory = '.'                   !< of every file written
    character(word) :: origin = '0001-01-01 00:00:00'    !< of dates
    character(word) :: calendar = 'noleap'
  end type experiment_config_type

  type, public :: grid_config_type
    integer :: nx = 88, ny = 80, nz = 2
    character(word) :: geometry = 'spherical'
    real(wp) :: length_x = 2.2e6_wp    !< cartesian [m]
    real(wp) :: length_y = 2.2e6_wp    !< cartesian [m]
    real(wp) :: west = 0, south = 30   !< spherical [degrees]
    real(wp) :: width = 22             !< spherical [degrees of longitude]
    real(wp) :: height = 20            !< spherical [degrees of latitude]
    logical :: periodic_x = .false., periodic_y = .false.
    real(wp) :: f0 = 1.0e-4_wp         !< cartesian: Coriolis parameter at y = 0, the south edge [s-1]
    real(wp) :: beta = 0               !< cartesian: its increase with y [m-1 s-1]
    character(word) :: land = 'none'
    character(path) :: land_file = ''  !< variable mask (j, i): 1 sea, 0 land
    logical :: free_slip = .true.
  end type grid_config_type

  type, public :: domain_config_type
    integer :: px = 0, py = 0          !< boxes in x and y, 0 = automatic
  end type domain_config_type

  type, public :: time_config_type
    integer :: dt = 240                !< step [s]
    integer :: steps = 360             !< of this run
    integer :: restart_every = 0       !< steps between restart files, 0 = at the end only
    character(path) :: restart_from = ''
    logical :: write_restart = .true.
  end type time_config_type

  type, public :: layers_config_type
    real(wp) :: thickness(max_layers) = -1         !< at rest, from the top [m]
    real(wp) :: reduced_gravity(max_layers) = -1   !< of each layer's upper interface [m s-2]
    real(wp) :: density = 1035                     !< reference [kg m-3]
  end type layers_config_type

  type, public :: initial_config_type
    character(word) :: kind = 'rest'
    character(path) :: file = ''                   !< any of u, v, h (k, j, i)
    real(wp) :: jet_speed = 1.0_wp                 !< of the top layer at the axis [m s-1]
    real(wp) :: jet_width = 6.0e4_wp               !< half width of the shear [m]
    real(wp) :: perturbation = 0.2_wp              !< meanders of the axis over jet_width
  end type initial_config_type

  type, public :: dynamics_config_type
    character(word) :: vorticity = 'energy'        !< what the vorticity flux conserves
    logical :: linear = .false.                    !< no advection, rest thickness in continuity
  end type dynamics_config_type

  type, public :: viscosity_config_type
    real(wp) :: laplacian = 0                      !< [m2 s-1]
    real(wp) :: biharmonic = 0                     !< [m4 s-1]
    real(wp) :: smagorinsky_laplacian = 0          !< [1]
    real(wp) :: smagorinsky_biharmonic = 0         !< [1]
  end type viscosity_config_type

  type, public :: forcing_config_type
    character(word) :: wind = 'none'
    real(wp) :: wind_stress = 0.1_wp               !< amplitude [N m-2]
    character(path) :: wind_file = ''              !< taux at U, tauy at V (j, i) [N m-2]
    real(wp) :: drag_linear = 0                    !< of the lowest layer [m s-1]
    real(wp) :: drag_quadratic = 0                 !< of the lowest layer [1]
    real(wp) :: drag_rayleigh = 0                  !< of all layers [s-1]
  end type forcing_config_type

  type, public :: closure_config_type
    character(word) :: kind = 'none'
    character(word) :: preset = 'reynolds'
    integer :: delay = 0                           !< steps between computing and applying, zb20
  end type closure_config_type

  type, public :: coupling_config_type
    logical :: enabled = .false.
  end type coupling_config_type

  type, public :: guard_config_type
    real(wp) :: speed_max = 20                     !< [m s-1]
    real(wp) :: thickness_min = 0                  !< [m]
  end type guard_config_type

  type, public :: output_config_type
    logical :: grid_file = .true.
    integer :: log_every = 100                     !< [steps]
    character(path) :: stream_name(max_streams) = ''     !< last part of a file's name
    integer :: stream_every(max_streams) = 0       !< [steps]
    character(word) :: stream_operation(max_streams) = 'instant'
  end type output_config_type

  type, public :: config_type
    type(experiment_config_type) :: experiment
    type(grid_config_type) :: grid
    type(domain_config_type) :: domain
    type(time_config_type) :: time
    type(layers_config_type) :: layers
    type(initial_config_type) :: initial
    type(dynamics_config_type) :: dynamics
    type(viscosity_config_type) :: viscosity
    type(forcing_config_type) :: forcing
    type(closure_config_type) :: closure
    type(coupling_config_type) :: coupling
    type(guard_config_type) :: guard
    type(output_config_type) :: output
  end type config_type

end module ocean_config
