import{A as o,B as r,C as m,D as p}from"/app/chunk-NKAOBTJ5.js";import"/app/chunk-SFWXO2HA.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
