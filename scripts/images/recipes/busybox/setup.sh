# /srv becomes the image.
cd /srv
mkdir -m 755 bin etc home var dev proc sys usr usr/bin
mkdir -m 1777 tmp var/tmp
mkdir -m 700 root
cp /usr/bin/busybox bin/busybox
for applet in $(bin/busybox --list); do
    [ -e "bin/$applet" ] || ln bin/busybox "bin/$applet"
done
ln -s ../../bin/env usr/bin/env
# Debian builds it without pgrep, by which the Kubernetes provider of Airflow 3.1 and 3.2 ends its XCom sidecar.
cat > bin/pgrep <<'END'
#!/bin/sh
# pgrep [-f] [-u UID] PATTERN
whole='' user=''
while getopts fu: option; do
    case $option in
        f) whole=yes ;;
        u) user=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
status=1
for process in /proc/[0-9]*; do
    [ "${process#/proc/}" = $$ ] && continue
    [ "$user" ] && [ "$user" != "$(stat -c %u "$process" 2>/dev/null)" ] && continue
    if [ "$whole" ]; then
        text=$(tr '\0' ' ' 2>/dev/null < "$process/cmdline")
    else
        text=$(cat "$process/comm" 2>/dev/null)
    fi
    if printf '%s' "$text" | grep -q -E -- "$1"; then
        echo "${process#/proc/}"
        status=0
    fi
done
exit $status
END
chmod 755 bin/pgrep
cat > etc/passwd <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
END
cat > etc/group <<'END'
root:x:0:
daemon:x:1:
tty:x:5:
www-data:x:33:
users:x:100:
nobody:x:65534:
END
printf 'root:*:::::::\n' > etc/shadow
chmod 640 etc/shadow
cp /etc/nsswitch.conf etc/
