# Completion of lastwords. Generated from src/cli/table.ts by tools/generate.ts; do not edit.

_lastwords() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local options='' operand='' value=none words='' i
  COMPREPLY=()

  # Readline breaks --color=al into three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]] && ((COMP_CWORD > 2)); then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi

  if ((COMP_CWORD == 1)); then
    words='report info notes dmesg ps bt mod read pstore save check record softboot panic-path title doctor rehearse help completion --help --version'
    compopt +o default 2>/dev/null
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi

  # Behind -- there are no options.
  for ((i = 2; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == -- ]] && previous='' current=${current/#-/./-}
  done

  case ${COMP_WORDS[1]} in
    report)
      options='--html --log-lines --json --btf --symbols --vmlinux --raw-base --stats --ramoops --blk --memconsole --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --html|--btf|--symbols|--vmlinux) value='files' ;;
        --log-lines|--raw-base|--ramoops|--blk|--memconsole) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    info|sys)
      options='--json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --btf|--symbols|--vmlinux) value='files' ;;
        --raw-base) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    notes)
      options='--extract --output -o --json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --extract|--raw-base) value='' ;;
        --output|-o|--btf|--symbols|--vmlinux) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    dmesg|log)
      options='--raw --json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --btf|--symbols|--vmlinux) value='files' ;;
        --raw-base) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    ps)
      options='--json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --btf|--symbols|--vmlinux) value='files' ;;
        --raw-base) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    bt)
      options='--all -a --tasks --task --cpu --json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --task|--cpu|--raw-base) value='' ;;
        --btf|--symbols|--vmlinux) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    mod)
      options='--json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --btf|--symbols|--vmlinux) value='files' ;;
        --raw-base) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    read|rd)
      options='--physical --virtual --length --raw --zero-excluded --json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --physical|--virtual|--length|--raw-base) value='' ;;
        --btf|--symbols|--vmlinux) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    pstore)
      options='--backend --record --no-carved --zones --raw --output -o --json --btf --symbols --vmlinux --raw-base --stats --ramoops --blk --memconsole --quiet -q --color --help -h'
      operand='ls cat extract'
      case $previous in
        --backend) value='ramoops pstore_blk erst mtdoops cbmem' ;;
        --record|--raw-base|--ramoops|--blk|--memconsole) value='' ;;
        --output|-o|--btf|--symbols|--vmlinux) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    save)
      options='--dump-level -d --zlib -c --lzo -l --snappy -p --zstd -z --uncompressed --elf -E --lkcd --flatten -F --rearrange -R --split --force -f --num-threads --dry-run --dump-dmesg --collectors --no-device-dumps --no-check --no-light --raw-base --json --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --dump-level|-d|--num-threads|--raw-base) value='' ;;
        --collectors) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    check)
      options='--json --btf --symbols --vmlinux --raw-base --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --btf|--symbols|--vmlinux) value='files' ;;
        --raw-base) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    record)
      options='--frontend --backend --config --check --tty --no-banner --quiet -q --color --help -h'
      operand=''
      case $previous in
        --frontend|--backend) value='' ;;
        --config) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    softboot)
      options='--region --reuse --level --crashdump --dir --keep --memory --json --quiet -q --color --help -h'
      operand='stage1 config save'
      case $previous in
        --region|--level|--crashdump) value='' ;;
        --dir|--memory) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    panic-path)
      options='--variant --cpus --faults --explain --svg --cases --oops --crash-image --post-notifiers --panic-timeout --backends --notifiers --capture --device-dumps --force-cpu --json --quiet -q --color --help -h'
      operand=''
      case $previous in
        --variant) value='before-seed seed v6.1 newest all' ;;
        --cpus|--faults|--panic-timeout|--backends) value='' ;;
        --svg) value='files' ;;
        --crash-image) value='loaded absent corrupt' ;;
        --notifiers) value='return hang reset' ;;
        --capture) value='works out-of-memory hangs no-target' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    title)
      options='--json --all -a --stats --quiet -q --color --help -h'
      operand='files'
      case $previous in
        --color) value='auto always never' ;;
      esac
      ;;
    doctor)
      options='--root --fix-plan --json --quiet -q --color --help -h'
      operand=''
      case $previous in
        --root) value='files' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    rehearse)
      options='--list --root --series --kernel --modules --initramfs --set --crashkernel --memory --cpus --keep --json --quiet -q --color --help -h'
      operand='sysrq oops oops-irq nmi two-cpus hung-task soft-lockup oom corrupt-image no-target capture-oom reset hang'
      case $previous in
        --root|--kernel|--modules|--initramfs|--keep) value='files' ;;
        --series) value='5.10 6.1 6.12 7.2' ;;
        --set|--crashkernel|--memory|--cpus) value='' ;;
        --color) value='auto always never' ;;
      esac
      ;;
    help)
      options='--quiet -q --color --help -h'
      operand='report info notes dmesg ps bt mod read pstore save check record softboot panic-path title doctor rehearse help completion'
      case $previous in
        --color) value='auto always never' ;;
      esac
      ;;
    completion)
      options='--quiet -q --color --help -h'
      operand='bash zsh fish'
      case $previous in
        --color) value='auto always never' ;;
      esac
      ;;
    *) return ;;
  esac

  if [[ $value != none ]]; then
    words=$value
  elif [[ $current == -* ]]; then
    words=$options
  else
    words=$operand
  fi
  [[ $words == files ]] && return
  compopt +o default 2>/dev/null
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -o default -F _lastwords lastwords
