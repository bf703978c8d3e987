# Completion of lastwords. Generated from src/cli/table.ts by tools/generate.ts; do not edit.

function __lastwords_no_command
    test (count (commandline -opc)) -eq 1
end

function __lastwords_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

complete -c lastwords -f
complete -c lastwords -n __lastwords_no_command -s h -l help -d 'List the commands'
complete -c lastwords -n __lastwords_no_command -s V -l version -d 'Print the version'
complete -c lastwords -n __lastwords_no_command -a report -d 'say why a kernel crashed, from whatever evidence there is'
complete -c lastwords -n __lastwords_no_command -a info -d 'show what a dump is: kernel, machine, format, coverage'
complete -c lastwords -n __lastwords_no_command -a notes -d 'list or extract the ELF notes of a dump'
complete -c lastwords -n __lastwords_no_command -a dmesg -d 'print the kernel log'
complete -c lastwords -n __lastwords_no_command -a ps -d 'list the tasks of the crashed kernel'
complete -c lastwords -n __lastwords_no_command -a bt -d 'print call traces'
complete -c lastwords -n __lastwords_no_command -a mod -d 'list the modules of the crashed kernel'
complete -c lastwords -n __lastwords_no_command -a read -d 'print memory at a physical or virtual address'
complete -c lastwords -n __lastwords_no_command -a help -d 'explain a command'
complete -c lastwords -n __lastwords_no_command -a completion -d 'print the completion script of a shell'

complete -c lastwords -n '__lastwords_command report' -F
complete -c lastwords -n '__lastwords_command report' -l log-lines -x -d 'Show the last N lines of the kernel log'
complete -c lastwords -n '__lastwords_command report' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command report' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command report' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command report' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command report' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command report' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command report' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command report' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command report' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command info sys' -F
complete -c lastwords -n '__lastwords_command info sys' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command info sys' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command info sys' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command info sys' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command info sys' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command info sys' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command info sys' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command info sys' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command info sys' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command notes' -F
complete -c lastwords -n '__lastwords_command notes' -l extract -x -d 'Write the content of one note, given by its owner, its device\'s name, or its number in the list'
complete -c lastwords -n '__lastwords_command notes' -s o -l output -r -F -d 'Write the extracted note to FILE instead of standard output'
complete -c lastwords -n '__lastwords_command notes' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command notes' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command notes' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command notes' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command notes' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command notes' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command notes' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command notes' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command notes' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command dmesg log' -F
complete -c lastwords -n '__lastwords_command dmesg log' -l raw -d 'Print the bytes as they are in the kernel\'s buffer, with level prefixes such as <6>'
complete -c lastwords -n '__lastwords_command dmesg log' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command dmesg log' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command dmesg log' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command dmesg log' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command dmesg log' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command dmesg log' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command dmesg log' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command dmesg log' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command dmesg log' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command ps' -F
complete -c lastwords -n '__lastwords_command ps' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command ps' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command ps' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command ps' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command ps' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command ps' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command ps' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command ps' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command ps' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command bt' -F
complete -c lastwords -n '__lastwords_command bt' -s a -l all -d 'The active task of each CPU, as bt -a in crash'
complete -c lastwords -n '__lastwords_command bt' -l tasks -d 'Every task'
complete -c lastwords -n '__lastwords_command bt' -l task -x -d 'This task'
complete -c lastwords -n '__lastwords_command bt' -l cpu -x -d 'The task that was running on this CPU'
complete -c lastwords -n '__lastwords_command bt' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command bt' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command bt' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command bt' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command bt' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command bt' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command bt' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command bt' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command bt' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command mod' -F
complete -c lastwords -n '__lastwords_command mod' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command mod' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command mod' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command mod' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command mod' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command mod' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command mod' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command mod' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command mod' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command read rd' -F
complete -c lastwords -n '__lastwords_command read rd' -l physical -x -d 'Begin at this physical address'
complete -c lastwords -n '__lastwords_command read rd' -l virtual -x -d 'Begin at this virtual address of the kernel'
complete -c lastwords -n '__lastwords_command read rd' -l length -x -d 'How many bytes to read'
complete -c lastwords -n '__lastwords_command read rd' -l raw -d 'Write the bytes themselves instead of a hex dump'
complete -c lastwords -n '__lastwords_command read rd' -l zero-excluded -d 'Take pages that the dump\'s writer left out'
complete -c lastwords -n '__lastwords_command read rd' -l json -d 'Print JSON, with a versioned schema, instead of text'
complete -c lastwords -n '__lastwords_command read rd' -l btf -r -F -d 'Take the kernel\'s types from FILE'
complete -c lastwords -n '__lastwords_command read rd' -l symbols -r -F -d 'Take the kernel\'s symbols from FILE'
complete -c lastwords -n '__lastwords_command read rd' -l vmlinux -r -F -d 'Take symbols and types from FILE, the vmlinux of the crashed kernel'
complete -c lastwords -n '__lastwords_command read rd' -l raw-base -x -d 'Read the file as a raw memory image whose first byte has this physical address'
complete -c lastwords -n '__lastwords_command read rd' -l stats -d 'At the end, print on standard error how much was read, and the time and memory it took'
complete -c lastwords -n '__lastwords_command read rd' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command read rd' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command read rd' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command help' -a 'report info notes dmesg ps bt mod read help completion'
complete -c lastwords -n '__lastwords_command help' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command help' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command help' -s h -l help -d 'Print this help and exit'

complete -c lastwords -n '__lastwords_command completion' -a 'bash zsh fish'
complete -c lastwords -n '__lastwords_command completion' -s q -l quiet -d 'Print neither notes nor progress on standard error'
complete -c lastwords -n '__lastwords_command completion' -l color -x -a 'auto always never' -d 'Colour the text'
complete -c lastwords -n '__lastwords_command completion' -s h -l help -d 'Print this help and exit'
