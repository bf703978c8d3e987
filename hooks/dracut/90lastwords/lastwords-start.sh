#!/bin/sh
# Starts the recorder in dracut's initramfs. dracut reads this file into its own shell, so that nothing here ends
# the shell, sets its options or leaves variables behind. A systemd unit runs it with --foreground.

lastwords_wanted() {
    # Told by hand: this goes before what is found.
    case " $1 " in
        *" rd.lastwords=0 "*) return 1 ;;
        *" rd.lastwords=1 "* | *" elfcorehdr="*) return 0 ;;
    esac
    # On arm64 the command line does not say it.
    [ -e /proc/vmcore ]
}

# In a subshell: it changes nothing in dracut's.
lastwords_prepare() (
    [ -x /usr/lib/lastwords/@lastwords ] && [ -r /usr/lib/lastwords/lastwords-record.js ] || exit 1
    read -r cmdline < /proc/cmdline || cmdline=
    lastwords_wanted "$cmdline" || exit 1

    # The ttys' writes come from there. It is there at once if this kernel has it, and the recorder says if it has not.
    if [ -d /sys/kernel/tracing ] && [ ! -e /sys/kernel/tracing/kprobe_events ]; then
        mount -t tracefs -o nosuid,nodev,noexec tracefs /sys/kernel/tracing || :
    fi
    mkdir -p /run/lastwords
)

# Becomes the recorder, for which it must be called in a shell of its own.
lastwords_run() {
    # systemd kills nothing whose name begins with @. A shell gives a program the name by which it found it in PATH.
    PATH="/usr/lib/lastwords:$PATH"
    # The kernel's log takes what the recorder says of itself; without it nobody would see that.
    if [ -w /dev/kmsg ]; then exec 2> /dev/kmsg; else exec 2> /dev/null; fi
    exec @lastwords --module /usr/lib/lastwords/lastwords-record.js < /dev/null > /dev/null
}

# The running system's own recorder does not start beside this one: it looks for initrd.pid.
if lastwords_prepare; then
    # dracut's shell may have arguments of its own; the unit's is the only one that counts.
    if [ "${1:-}" = --foreground ]; then
        echo $$ > /run/lastwords/initrd.pid
        lastwords_run
    else
        lastwords_run &
        echo $! > /run/lastwords/initrd.pid || :
    fi
fi
unset -f lastwords_prepare lastwords_run lastwords_wanted
