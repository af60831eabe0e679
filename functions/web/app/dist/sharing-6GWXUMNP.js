import{A as o,B as r,C as m,D as p}from"/app/chunk-ZRDFW7JH.js";import"/app/chunk-M7SDJEMW.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
