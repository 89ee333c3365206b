#!/bin/sh
# Pull the images that are not there yet: `pull.sh IMAGE...`. Ends with an error, and so is started again, if one cannot be had.
set -eu
for image; do
    if docker image inspect "$image" > /dev/null 2>&1; then
        echo "airdock: $image is there"
    else
        docker pull --quiet "$image"
    fi
done
