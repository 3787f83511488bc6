# bash completion for mpitrain; made by 'mpitrain completion bash'
_mpitrain() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local flags='' verbs='' i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W 'run submit job plan topo ckpt bench sim doctor config completion help --help --version' -- "$cur"))
        return
    fi
    case $prev in
        --file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --ranks|-n) return ;;
        --min-ranks) return ;;
        --max-ranks) return ;;
        --nodes) return ;;
        --ranks-per-node) return ;;
        --device) COMPREPLY=($(compgen -W 'auto cuda cpu' -- "$cur")); return ;;
        --gpus-per-rank) return ;;
        --gpu-type) return ;;
        --gpu-visibility) COMPREPLY=($(compgen -W 'node rank' -- "$cur")); return ;;
        --cpus-per-rank) return ;;
        --mem-per-rank) return ;;
        --host) return ;;
        --hostfile) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --engine) COMPREPLY=($(compgen -W 'auto mpirun srun' -- "$cur")); return ;;
        --placement) COMPREPLY=($(compgen -W 'pack spread' -- "$cur")); return ;;
        --topology-level) return ;;
        --max-restarts) return ;;
        --checkpoint-dir) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --resume) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --time-limit) return ;;
        --stop-grace) return ;;
        --max-requeues) return ;;
        --hang-timeout) return ;;
        --heartbeat) return ;;
        --spares) return ;;
        --max-node-failures) return ;;
        --log-dir) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --show) return ;;
        --stdin) COMPREPLY=($(compgen -W 'none 0' -- "$cur")); return ;;
        --env) return ;;
        --workdir) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --events) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --result) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --name) return ;;
        --priority) return ;;
        --queue) return ;;
        --after) return ;;
        --mpirun-arg) return ;;
        --ssh-arg) return ;;
        --remote-prefix) return ;;
        --srun-arg) return ;;
        --sbatch-arg) return ;;
        --output) COMPREPLY=($(compgen -W 'table json quiet' -- "$cur")); return ;;
        --color) COMPREPLY=($(compgen -W 'auto always never' -- "$cur")); return ;;
        --on) COMPREPLY=($(compgen -W 'local slurm k8s' -- "$cur")); return ;;
        --timeout) return ;;
        --input) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --synthetic) return ;;
        --svg) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    esac
    case ${COMP_WORDS[1]} in
        run) flags='--file --ranks -n --min-ranks --max-ranks --nodes --ranks-per-node --device --gpus-per-rank --gpu-type --gpu-visibility --cpus-per-rank --mem-per-rank --oversubscribe --host --hostfile --engine --placement --topology-level --max-restarts --checkpoint-dir --resume --time-limit --stop-grace --max-requeues --hang-timeout --heartbeat --spares --max-node-failures --log-dir --show --no-tag --pty --stdin --env --workdir --events --result --name --priority --queue --after --mpirun-arg --ssh-arg --remote-prefix --srun-arg --sbatch-arg --output --color --help -h --version'; verbs='' ;;
        submit) flags='--on --file --ranks -n --min-ranks --max-ranks --nodes --ranks-per-node --device --gpus-per-rank --gpu-type --gpu-visibility --cpus-per-rank --mem-per-rank --oversubscribe --host --hostfile --engine --placement --topology-level --max-restarts --checkpoint-dir --resume --time-limit --stop-grace --max-requeues --hang-timeout --heartbeat --spares --max-node-failures --log-dir --show --no-tag --pty --stdin --env --workdir --events --result --name --priority --queue --after --mpirun-arg --ssh-arg --remote-prefix --srun-arg --sbatch-arg --output --color --help -h --version'; verbs='' ;;
        job) flags='--all --follow -f --timeout --output --color --help -h --version'; verbs='list show explain logs wait cancel hold release requeue' ;;
        plan) flags='--on --file --ranks -n --min-ranks --max-ranks --nodes --ranks-per-node --device --gpus-per-rank --gpu-type --gpu-visibility --cpus-per-rank --mem-per-rank --oversubscribe --host --hostfile --engine --placement --topology-level --max-restarts --checkpoint-dir --resume --time-limit --stop-grace --max-requeues --hang-timeout --heartbeat --spares --max-node-failures --log-dir --show --no-tag --pty --stdin --env --workdir --events --result --name --priority --queue --after --mpirun-arg --ssh-arg --remote-prefix --srun-arg --sbatch-arg --output --color --help -h --version'; verbs='' ;;
        topo) flags='--input --synthetic --device --for-launch --oversubscribe --svg --output --color --help -h --version'; verbs='' ;;
        ckpt) flags='--output --color --help -h --version'; verbs='list show verify diff prune export import' ;;
        bench) flags='--output --color --help -h --version'; verbs='launch allreduce reduce broadcast reduce_scatter allgather all_to_all overlap preflight checkpoint schedule' ;;
        sim) flags='--output --color --help -h --version'; verbs='' ;;
        doctor) flags='--output --color --help -h --version'; verbs='' ;;
        config) flags='--origin --file --ranks -n --min-ranks --max-ranks --nodes --ranks-per-node --device --gpus-per-rank --gpu-type --gpu-visibility --cpus-per-rank --mem-per-rank --oversubscribe --host --hostfile --engine --placement --topology-level --max-restarts --checkpoint-dir --resume --time-limit --stop-grace --max-requeues --hang-timeout --heartbeat --spares --max-node-failures --log-dir --show --no-tag --pty --stdin --env --workdir --events --result --name --priority --queue --after --mpirun-arg --ssh-arg --remote-prefix --srun-arg --sbatch-arg --output --color --help -h --version'; verbs='show' ;;
        completion) flags='--output --color --help -h --version'; verbs='bash zsh fish' ;;
        help) COMPREPLY=($(compgen -W 'run submit job plan topo ckpt bench sim doctor config completion help' -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$verbs" ]; then
        COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
    else
        COMPREPLY=($(compgen -c -f -- "$cur"))
    fi
}
complete -o filenames -F _mpitrain mpitrain
