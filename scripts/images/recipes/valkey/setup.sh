groupadd --system --gid 999 valkey
useradd --system --gid valkey --uid 999 --home-dir /data --no-create-home valkey
apt-get install -qq -y --no-install-recommends valkey-server valkey-tools
for name in server cli benchmark; do
    [ -e /usr/bin/valkey-$name ] && ln -s /usr/bin/valkey-$name /usr/local/bin/valkey-$name
    ln -s valkey-$name /usr/local/bin/redis-$name
done
install -d -o valkey -g valkey -m 1777 /data /run/valkey
rm -rf /var/lib/valkey /var/log/valkey
install -m 755 /mnt/recipe/docker-entrypoint.sh /usr/local/bin/
