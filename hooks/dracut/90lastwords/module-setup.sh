#!/bin/bash
# dracut module: the recorder for a capture kernel's initramfs.
# kdump.conf of Fedora and RHEL takes it in with "dracut_args --add lastwords".

# Only where it is asked for: the initramfs of every day has no use for it.
check() {
    return 255
}

depends() {
    return 0
}

# Sets lastwords_qjs, lastwords_bundle and lastwords_config.
lastwords_find() {
    local file
    lastwords_qjs=$(command -v qjs) || {
        derror "lastwords: qjs is not installed (QuickJS)"
        return 1
    }
    # Where the package puts it: beside the command, wherever npm has put that.
    lastwords_bundle=
    for file in /usr/lib/lastwords/lastwords-record.js /usr/bin/lastwords /usr/local/bin/lastwords; do
        case "$file" in
        */bin/lastwords)
            file=$(readlink -f "$file" 2> /dev/null) || continue
            file=${file%/bin/*}/dist/lastwords-record.js
            ;;
        esac
        if [[ -f $file ]]; then
            lastwords_bundle=$(readlink -f "$file")
            break
        fi
    done
    [[ $lastwords_bundle ]] || {
        derror "lastwords: lastwords-record.js is not there"
        return 1
    }
    # The capture kernel's own configuration goes before the running system's.
    lastwords_config=
    for file in /etc/lastwords/capture.conf /etc/lastwords/record.conf; do
        if [[ -f $file ]]; then
            lastwords_config=$file
            break
        fi
    done
    [[ $lastwords_config ]] || {
        derror "lastwords: neither /etc/lastwords/capture.conf nor /etc/lastwords/record.conf is there"
        return 1
    }
}

install() {
    lastwords_find || return 1
    inst_multiple mkfifo mkdir mount sh
    inst_binary "$(readlink -f "$lastwords_qjs")" /usr/lib/lastwords/qjs
    # systemd, at a change of root and at the very end, leaves alone what has an @ as the first letter of its name
    # (https://systemd.io/ROOT_STORAGE_DAEMONS/). Linked here, because in its initramfs /usr is read only.
    ln -sf qjs "$initdir/usr/lib/lastwords/@lastwords"
    inst_simple "$lastwords_bundle" /usr/lib/lastwords/lastwords-record.js
    inst_simple "$lastwords_config" /etc/lastwords/record.conf

    if dracut_module_included "systemd"; then
        # The hooks are run by units of dracut's own; ours goes before them.
        inst_script "$moddir/lastwords-start.sh" /usr/lib/lastwords/lastwords-start.sh
        inst_simple "$moddir/lastwords-record.service" "$systemdsystemunitdir/lastwords-record.service"
        $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target lastwords-record.service
    else
        inst_hook cmdline 00 "$moddir/lastwords-start.sh"
    fi
}
