groupadd --system --gid 999 postgres
useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql

echo 'en_US.UTF-8 UTF-8' > /etc/locale.gen
locale-gen > /dev/null

# No database cluster of the package's own.
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/image.conf
apt-get install -qq -y --no-install-recommends postgresql-17
# The just-in-time compiler is half of the image; without its library Postgres does without it.
rm -rf /usr/lib/postgresql/17/lib/llvmjit* /usr/lib/postgresql/17/lib/bitcode
dpkg --force-depends --purge libllvm19 libz3-4 > /dev/null

# Listen to other containers: what initdb copies says so.
sed -i "s/^#\?listen_addresses *=.*/listen_addresses = '*'/" /usr/share/postgresql/17/postgresql.conf.sample
ln -sf 17/postgresql.conf.sample /usr/share/postgresql/postgresql.conf.sample

rm -rf /var/run/postgresql /etc/postgresql/17
install -d -o postgres -g postgres -m 3777 /var/run/postgresql
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
mkdir /docker-entrypoint-initdb.d
install -m 755 /mnt/recipe/docker-entrypoint.sh /usr/local/bin/
