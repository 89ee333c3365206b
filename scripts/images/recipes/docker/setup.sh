install -m 755 /mnt/tools/* /usr/local/bin/
cp /usr/bin/tini-static /usr/local/bin/docker-init
groupadd --system --gid 2375 docker

# First on PATH, these are iptables on kernels without nf_tables.
legacy=/usr/local/sbin/.iptables-legacy
mkdir -p $legacy
for tool in iptables ip6tables; do
    for action in '' -save -restore; do
        ln -s "/usr/sbin/$tool-legacy$action" "$legacy/$tool$action"
    done
done

# For --userns-remap=default.
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dockremap
sed -i /dockremap/d /etc/subuid /etc/subgid
echo dockremap:165536:65536 | tee -a /etc/subuid >> /etc/subgid

mkdir -p /certs/client /var/lib/docker
chmod 1777 /certs /certs/client
install -m 755 /mnt/recipe/docker-entrypoint.sh /mnt/recipe/dockerd-entrypoint.sh /usr/local/bin/
