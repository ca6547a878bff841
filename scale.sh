cd /tmp/lab
nice -n 3 ./gristmill scale gristmill-own-text/dataset --largest 200000 --tokens 2000000 --set batch_sequences=8 --check --jobs 2 --out scale2m > scale2m.log 2>&1
echo rc $? >> scale2m.log; date >> scale2m.log
