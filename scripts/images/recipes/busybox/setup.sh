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
