# The official image's own file listens to other containers, and logs to standard error.
rm -rf /etc/pgbouncer /var/log/pgbouncer /var/lib/postgresql
install -d /etc/pgbouncer
ln -sf /usr/sbin/pgbouncer /usr/bin/pgbouncer
touch /etc/pgbouncer/userlist.txt
cat > /etc/pgbouncer/pgbouncer.ini <<END
[databases]
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = md5
auth_file = /etc/pgbouncer/userlist.txt
END
