# SPDX-License-Identifier: MIT
"""What `--help` says: for each command a description, and examples."""

DESCRIPTION = """\
Couples a Fortran ocean model to Python machine learning in one mpirun.

A coupling spec (YAML) says which components there are, on which grid they exchange which fields,
and how often. Begin with:

  halocline check SPEC      is everything right? nothing is run
  halocline plan SPEC       who sends how much to whom
  halocline run SPEC        run it, see how far it is, see where the time went

`halocline COMMAND --help` tells more.
"""

EXIT_CODES = """\
exit codes: 0 fine; 1 the run failed, or seams differ; 2 mistakes in the spec or on the command
line; 130 Ctrl-C
"""

CHECK = (
    """\
Find everything that can be wrong before a run: the spec, the namelist that the model reads, the
executables and files of the commands, the predictor, its arguments and how far it reads beyond its
box, which is measured. Each mistake is shown with its place in the spec and what to do about it.
--seams asks the predictor about random fields, on the whole grid and in the boxes of the ranks, and
compares the answers at seams, boundaries and folds; --plot draws where they differ and needs
matplotlib: pip install 'halocline[plot]'.
""",
    """\
examples:
  halocline check double_gyre.yaml
  halocline check double_gyre.yaml --no-load      without importing torch
  halocline check double_gyre.yaml --seams --ranks closure=6
""",
)

PLAN = (
    """\
Show the boxes of each component, every message of every exchange, its bytes, the imbalance and
what the halo adds. No MPI is needed: the plan of a large run can be made on a laptop. A model
decides its own boxes when it runs; here the even split that workers use stands in for them. Where
the spec says halo: auto, the predictor is loaded and measured.
--plot draws the boxes of both sides, and what one worker rank receives from whom; it needs
matplotlib: pip install 'halocline[plot]'.
""",
    """\
examples:
  halocline plan double_gyre.yaml
  halocline plan double_gyre.yaml --ranks ocean=1000,closure=32
  halocline plan double_gyre.yaml --json
  halocline plan double_gyre.yaml --plot plan.png --worker 0
""",
)

RUN = (
    """\
Check the spec, print the plain mpirun line, run it in run.directory (relative to where you are)
and show how far it is. At the end: where the time went, and the files that were written. What the
job prints is also in job.log there. Ctrl-C ends every rank.
""",
    """\
examples:
  halocline run double_gyre.yaml
  halocline run double_gyre.yaml --ranks ocean=8,closure=2
  halocline run double_gyre.yaml --reference      with and without the closure, and a picture
  halocline run double_gyre.yaml --timeline       what each rank did when, as a picture
  halocline run double_gyre.yaml --dry-run        the commands, to type or for a job script
  halocline run double_gyre.yaml --mpirun 'mpirun --hostfile hosts'
  halocline run double_gyre.yaml --launcher mpich
  halocline run double_gyre.yaml --launcher srun --mpirun 'srun --partition=debug'
""",
)

WEIGHTS = (
    """\
Make the weights of every exchange with the key 'regrid', or read them where they are made already:
they are kept in 'weights' beside the spec, by the hash of the grids and the method. Says how good
they are: row sums, target cells left empty, and for the functions of the benchmark of Valcke et al.
(2022) the misfit, how far results leave the function's range (of its largest value), and how well
the integral is conserved. Grids on the sphere that are not rectilinear need YAC:
pip install 'halocline[regrid]'; --plot needs matplotlib: pip install 'halocline[plot]'.
""",
    """\
examples:
  halocline weights tripolar.yaml
  halocline weights tripolar.yaml --plot weights.png --function gulfstream
  halocline weights tripolar.yaml --json
""",
)

PLOT = (
    """\
Draw a finished run of the ocean model: relative vorticity of the upper layer at the last record,
and kinetic energy over time, beside the reference run where there is one. Needs matplotlib:
pip install 'halocline[plot]'.
""",
    """\
examples:
  halocline plot runs/double_gyre
  halocline plot runs/double_gyre --reference runs/without_closure
""",
)

TIMELINE = (
    """\
Draw what each rank did when, from the traces of `halocline run SPEC --timeline`, or of a job that
was typed by hand with HALOCLINE_TRACE=DIRECTORY: timeline.json for ui.perfetto.dev, and
timeline.png, which needs matplotlib: pip install 'halocline[plot]'. The title has the share of
their time that the components waited.
""",
    """\
examples:
  halocline run double_gyre.yaml --timeline
  halocline timeline runs/double_gyre
""",
)

SLURM = (
    """\
Print the job script of a spec, for sbatch: one step of all components, started by srun
--multi-prog. Where a component has options of its own, such as workers on nodes with GPUs, the job
is heterogeneous. The spec is checked as by `halocline check`; warnings go to stderr.
""",
    """\
examples:
  halocline slurm double_gyre.yaml >job.sh; sbatch job.sh
  halocline slurm double_gyre.yaml --ranks ocean=128,closure=4 --time 12:00:00 \\
    --sbatch=--account=climate --sbatch='closure=--partition=gpu --gpus-per-task=1' \\
    --setup 'module load openmpi' --setup 'source /projects/halocline/.venv/bin/activate'
""",
)

DOCTOR = (
    """\
Say what is installed, which MPI each part of a job uses and whether they go together, whether
ranks share memory and read each other's, how fast raw MPI is here, and whether there is a GPU. Each
line is ok, a warning or an error, with what to do about it. Put all of it into a bug report.
Exit code 1 if there is an error.
""",
    """\
examples:
  halocline doctor
  halocline doctor path/to/my_model        which MPI is it linked with?
  halocline doctor --launcher mpich
  halocline doctor --json
""",
)

BENCH = (
    """\
Measure what things cost on this machine. Machines are noisy: what counts is a ratio within one run.
Every bench prints a table, or with --json a list of {name, value, unit, goal, ok}; less is better,
and a goal is the most that is good. What is not reached is shown and is no failure.
""",
    """\
examples:
  halocline bench exchange
  halocline bench plan --json
""",
)

BENCH_EXCHANGE = (
    """\
Exchange one field, there and back, between real Fortran ranks and workers, in turn with raw
contiguous MPI of as many float64 values in the same job, and with YAC where it is installed:
pip install 'halocline[bench]'. Every value is compared. Without options: the cases that have a
goal. With --sweep: three sizes, three pairs of ranks, three halos. The other options choose other
cases; several values are several cases. A job that does not fit into memory is left out.
""",
    """\
examples:
  halocline bench exchange
  halocline bench exchange --size 400,400,31 --halo 0 8 --wire float32
  halocline bench exchange --sweep --size 180,148,1 --json
""",
)

BENCH_OVERLAP = (
    """\
A model that computes 20 ms a step, and a worker that computes 12 ms for each of its answers: how
long does the model wait, with lag 0 and lag 1? Read from the traces of all ranks.
""",
    """\
examples:
  halocline bench overlap --plot overlap.png
""",
)

BENCH_PLAN = (
    """\
Plan a 1/36 degree grid of 12,960 x 10,850 x 75 cells with a north fold and a halo of 10 for 10,000
model ranks and 256 workers: with boxes by `halocline plan`, and for one worker at the fold with
lists of cell numbers. Needs no MPI.
""",
    """\
examples:
  halocline bench plan
  halocline bench plan --json
""",
)

BENCH_REGRID = (
    """\
Regridding by 2 x 2 cells: applying weights beside one product with the same matrix by SciPy, and a
field there, doubled and back between Fortran ranks and workers on the coarser grid, beside YAC in
the same job.
""",
    """\
examples:
  halocline bench regrid
  halocline bench regrid --json --no-yac
""",
)

BENCH_RECORD = (
    """\
Run a coupled double gyre (two layers, one ocean rank, one worker) and record every field in every
other block of steps: what a step takes with it, until all is written, over what it takes without.
""",
    """\
examples:
  halocline bench record
  halocline bench record --directory /scratch --blocks 10
""",
)

REPLAY = (
    """\
Run a worker's predictor on what it received in a coupled run that had `record:` in its spec, and
compare its answers with the recorded ones: one process, no model, no MPI. Exit code 1 if they
differ by more than --tolerance. Exceptions of the predictor come with their trace.
""",
    """\
examples:
  halocline replay double_gyre.yaml runs/double_gyre/closure_record_0
  halocline replay double_gyre.yaml runs/double_gyre --ranks closure=4 --steps 10
  halocline replay double_gyre.yaml runs/double_gyre --tolerance 1e-6 --plot difference.png
  python -m pdb -m coupler.command.cli replay double_gyre.yaml runs/double_gyre
""",
)

FAKE = (
    """\
Run the workers of a spec for real, with synthetic fields in place of the model: spec, network and
worker ranks are tried before a model is compiled. The fields are smooth, move, and are the same for
any number of ranks; masks are 1 with an island, lengths, areas and thicknesses are positive (known
by how their names begin), others lie in -1..1. Answers are checked; the job runs in run.directory
with /fake behind it.
""",
    """\
examples:
  halocline fake double_gyre.yaml
  halocline fake double_gyre.yaml --as ocean --steps 100 --ranks ocean=4,closure=2
  halocline fake double_gyre.yaml --range h=10:2000,temperature=-2:30
""",
)

BENCH_INFERENCE = (
    """\
A worker's network beside plain torch. alone: in a process of its own, in turn with a process that
calls the same network without any tuning. coupled: what a step of a Fortran rank and a worker
takes beyond the network's own time. lag: the ocean model coupled with lag 1, over the model alone,
and the model beside the same network without a coupling. Needs torch; `alone` needs no MPI, and is
all there is on a GPU.
""",
    """\
examples:
  halocline bench inference
  halocline bench inference --part alone --turns 31
  halocline bench inference --part alone --device cuda
  halocline bench inference --json
""",
)
