install -m 755 /mnt/recipe/entrypoint.sh /entrypoint
install -m 755 /mnt/recipe/clean-logs.sh /clean-logs
