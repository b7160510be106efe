# A browser or curl that opens a WebSocket address by plain HTTP must be told
# what it is in words of HTTP. If this fails, users see a hanging connection or
# an error page that explains nothing, and nginx's own methods and error
# handling no longer work around the module.

use Blockcast::Socket 'no_plan';

run_tests();

__DATA__

=== TEST 1: plain GET is told to upgrade
--- http_config
    blockcast_zone main 4m;
--- config
    location = /ws {
        blockcast_websocket;
    }
--- request
    GET /ws
--- error_code: 426
--- response_headers
Upgrade: websocket
Sec-WebSocket-Version: 13
--- response_body_like: WebSocket



=== TEST 2: an echo location says the same
--- config
    location = /echo {
        blockcast_echo;
    }
--- request
    GET /echo
--- error_code: 426
--- response_headers
Upgrade: websocket
Sec-WebSocket-Version: 13
--- response_body_like: WebSocket



=== TEST 3: other locations are served as before
--- config
    location = /echo {
        blockcast_echo;
    }
    location = /plain {
        return 200 "plain";
    }
--- request
    GET /plain
--- response_body chomp
plain



=== TEST 4: the module beside nginx's access modules
--- config
    location = /echo {
        deny all;
        blockcast_echo;
    }
--- request
    GET /echo
--- error_code: 403
