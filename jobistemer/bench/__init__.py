"""The measurements of `jobistemer bench`, in a namespace that is emptied afterwards.

tasks         the application whose runs are measured
role_process  the process of a worker or a ticker that is measured
subprocesses  start and end of a role process
namespace     reserve an empty namespace, and empty it at the end
environment   the machine and the server, and how much CPU time the server uses
workloads     the work that is measured, one method for each kind
results       the figures, as values
runner        all measurements in order, within a time
report        the figures for people
"""
