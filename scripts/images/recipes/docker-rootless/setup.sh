useradd --uid 1000 --user-group --create-home rootless
sed -i /rootless/d /etc/subuid /etc/subgid
echo rootless:100000:65536 | tee -a /etc/subuid >> /etc/subgid
chmod 755 /home/rootless
install -d -m 1777 /run/user
install -d -o rootless -g rootless /home/rootless/.local /home/rootless/.local/share /home/rootless/.local/share/docker
install -m 755 /mnt/recipe/dockerd-entrypoint.sh /usr/local/bin/
