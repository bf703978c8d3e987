#!/bin/sh
# A collector as a program: whatever it prints is the dump, named after the file without its suffix ("bus-map").
# Exit status 0 without output: there is nothing to dump on this machine. Any other status: the dump is lost, and the last line of
# standard error is given as the reason.
set -e
echo "== /proc/iomem"
cat /proc/iomem
echo "== /proc/ioports"
cat /proc/ioports
echo "== /proc/interrupts"
cat /proc/interrupts
